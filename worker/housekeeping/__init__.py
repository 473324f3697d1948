"""The periodic tasks of a housekeeper, each in a thread. Any number of housekeepers may run at a time.

The reaper recovers jobs: it queues jobs whose worker died, sends missing notifications, ends overdue jobs, and enters all jobs
again after a loss of Redis. It also completes interrupted erasures and erases expired identities. The sweeper removes expired
objects, the messenger sends webhooks. None of them loads torch.
"""
