"""What the API and the workers agree on: records, states, the ports (object store, job store, queue) and their adapters.

No torch and no FastAPI here. Only `stores` imports redis, boto3 and celery. The object store is the truth; Redis holds a quick view
that can be lost, and Celery messages that only say that work exists. `bootstrap` puts the services together.
"""
