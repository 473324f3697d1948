"""The periodic tasks of a housekeeper, each in a thread. Any number of housekeepers may run at a time.

    loop         a thread that repeats one task
    reaper       recovers jobs whose worker died, ends overdue ones, completes erasures, erases expired identities
    sweeper      removes what has expired, such as idle identities (`s2edit_jobs.library.retention`)
    messenger    sends webhooks
    outgoing     their HTTP requests, to public addresses only
    breaker      receivers that do not answer rest for a while

The reaper also sends missing notifications, and enters all jobs again after a loss of Redis. None of them loads torch.
"""
