"""Code that the API and the workers share: job records and states, and the ports of the object store, job store and queue.

    intake            a request to the draft of a job (a room)
    lifecycle         accept, read, cancel and finish jobs (a room)
    library           identities, attributes, uploads, and erasing them (a room)
    access            API keys, prompt policy, audit log (a room)
    decoding          processes that decode untrusted pictures (a room)
    stores            Redis, object stores and Celery (a room)
    records           values that are stored or exchanged (a room)
    settings          all settings; `limit_settings` and `store_settings` are parts of them
    limit_settings    what bounds a caller, a tenant and all of them
    setting_rules     what values must look like, and the words for those that do not
    store_settings    where Redis and the bucket are
    bootstrap         builds the services from the settings
    start             loads modules without searching for garbage
    data_folder       the checks of the data folder
    logs              logs as JSON lines
    error_messages    which messages of exceptions may be logged
    value_rules       what a field of a request or a setting must be, in words
    health            the health check of the images

This package imports neither torch nor FastAPI. Only `stores` imports redis, boto3 and celery. The object store holds the truth.
Redis holds a fast view that can be rebuilt, and the Celery messages. `bootstrap` builds all services from the settings.
"""
