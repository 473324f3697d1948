"""The ports to what outlives a process (object store, job store, queue) and their adapters: Redis, a folder, S3 and Celery.

`job_store` holds the job store's ports, one per role; `redis_store` implements them; `embedded_redis` starts a private server.
This room imports `records` and `settings`.
"""
