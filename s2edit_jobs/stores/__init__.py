"""Where state lives: the ports of the job store, the object store and the queue, and their adapters.

The adapters are Redis, a folder, S3 and Celery; `embedded_redis` starts a private Redis server. Nothing here knows the rules of the
service: modules of this folder import records, settings and errors, and nothing else of `s2edit_jobs`.
"""
