"""Code that the API and the workers share: job records and states, and the ports of the object store, job store and queue.

This package imports neither torch nor FastAPI. Only `stores` imports redis, boto3 and celery. The object store holds the truth.
Redis holds a fast view that can be rebuilt, and the Celery messages. `bootstrap` builds all services from the settings.
"""
