"""Background threads. Every worker runs all of them, and they tolerate any number of copies.

The reaper recovers jobs: it queues jobs whose worker died, sends missing notifications, ends overdue jobs, and enters all jobs
again after a loss of Redis. The sweeper removes expired objects, the messenger sends webhooks, the announcer reports the loaded
model.
"""
