"""What the API and the workers agree on: records, states, the ports (artifacts, job store, queue) and their adapters.

No torch and no FastAPI here. redis, boto3 and celery have one home: `stores`.
"""
