"""The ports to what outlives a process (object store, job store, queue) and their adapters: Redis, a folder, S3 and Celery.

    job_store           the job store's ports, one per role
    redis_store         the job store on Redis (a room)
    embedded_redis      a private Redis server
    redis_errors        which errors of Redis are outages
    artifacts           the object store's port, and the keys of its objects
    object_store        the object store in a folder and on S3 (a room)
    markers             objects that stand for pending tasks
    user_folders        a walk through the folders of all users
    stored_bytes        what tenants store, in bytes
    model_facts         what workers report about the model
    auxiliary_models    checks of segmenter, captioner and safety model
    queue               the notification queue's port
    celery_queue        that queue on Celery
    celery_task         what a worker changes in Celery

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
