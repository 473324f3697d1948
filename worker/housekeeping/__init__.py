"""Threads beside the attempts. Every worker runs all of them; any number may run.

The reaper queues jobs whose worker died, notifies again, ends overdue jobs, and enters jobs again after a loss of Redis. The
sweeper removes what has expired, the messenger sends webhooks, the announcer reports that the model is loaded.
"""
