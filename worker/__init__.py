"""The Celery worker: one process per device. `app` loads the engine, `process` starts the threads, `attempts` does the jobs.

A Celery message makes the worker claim a job; the job store decides which one. One job runs at a time, in Celery's thread. Beside
it run the threads of `housekeeping`, and `testmode_lane` with the jobs of test mode, which need no device.
"""
