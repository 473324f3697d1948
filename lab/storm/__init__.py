"""Fault injection: real processes of the service under load while they are killed, paused or cut off from Redis.

`python -m lab.storm` runs the storm, `lab.storm.promises` and `lab.storm.partition` single guarantees. Each checks at the end that
no edit was lost, duplicated or given to another user.
"""
