"""The Celery worker: one process per device. `app` loads the engine, `process` starts the threads, `attempts` runs the jobs.

On a Celery message, the worker claims the job that the job store selects. One job runs at a time, in Celery's main thread.

`housekeeper` is a process of its own, without Celery and torch. Its threads run the periodic tasks (`housekeeping`) and the jobs of
test mode (`testmode_runner`).
"""
