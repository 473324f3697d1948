"""The ports to what outlives a process (object store, job store, queue) and their adapters: Redis, a folder, S3 and Celery.

`job_store` holds the job store's ports, one per role; `redis_store` implements them; `embedded_redis` starts a private server.
`artifacts` is the port of the object store; `object_store` implements it for a folder and for S3.

What ARCHITECTURE.md leaves out of its table of failures:

- Redis loses a key (eviction, expiry, a person): the script that meets the gap, or the reaper within 2 seconds, repairs it. The job
  is late, and no other job waits (`redis_store.lua`).
- Redis comes back with older data (its last second is lost, or it was restored from a snapshot): `redis_store.recovery` prepares
  what it holds.
- S3 writes an object, but its answer is 500 or lost: the same call finds the object by the number of its write, and succeeds
  (`object_store.s3_artifacts`).
- Foreign files in the data folder (`.DS_Store`, `x~`, loops of links) are not listed. An erasure deletes those in the user's
  folder.

This room imports `records` and `settings`.
"""
