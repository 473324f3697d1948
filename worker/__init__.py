"""The Celery worker: one process per device. And the housekeeper, a process of its own without Celery and torch.

    app                Celery's entry point
    process            the worker process: engine, threads, graceful stop
    attempts           one attempt at one job (a room)
    engines            what a worker needs of the model, and S²Edit as such an engine (a room)
    announcer          reports the loaded model to the API
    housekeeper        the housekeeper process
    housekeeping       its periodic tasks (a room)
    testmode_runner    its jobs of test mode
    health_server      `/livez` and `/metrics` of both
    metrics            what they count

On a Celery message, the worker claims the job that the job store selects. One job runs at a time, in Celery's main thread.
"""
