"""Run one attempt at a job: claim it, renew the lease, work, publish the result once.

    runner            begins and ends an attempt
    heartbeat         renews its lease; stops if the computation hangs
    engine_run        finds the mask, learns, edits
    inputs            reads the files of a job
    used_concepts     ends an attempt whose identity or attribute is erased
    job_mask          the mask of a job, sent or found
    control           interrupts an attempt
    publishing        stores the results
    progress_watch    how long a step may take before it counts as hung
    phase_clock       how long the phases take
    slots             several attempts in one process
    company           which attempts run beside each other
    worker_health     when a worker exits, so that a new one starts
    tallies           faults of the device, counted

A worker may die at any point. Then its lease ends (`lease_s`, 6 s by default), and the job goes to the front of the queue.
Intermediate artifacts are stored at once, so the next attempt begins after the last finished phase, or within learning at the last
checkpoint (every 20 steps). The keys of result and report contain the lease's fence. `outcome.json` is
written only if absent, so exactly one attempt ends the job.

A concept is learned once. The first attempt that needs it reserves it for its job; other jobs wait for it outside the queue. If
the worker dies, the job keeps the reservation for its next attempt. So a photo that crashes workers crashes at most
`max_attempts` of them, however many edits wait for it.

What ARCHITECTURE.md leaves out of its table of failures:

- With too little memory, the UNet runs smaller passes, with the same result. If even one row is too much, the job goes back to the
  queue and the attempt is not counted. After `max_attempts` such attempts the job fails with `out_of_memory`.
- A job in whose attempts a device failed `max_attempts` times, or that failed in as many attempts for other reasons, fails with
  `parked`. Between attempts it waits 2 s, then 8 s, outside its owner's queue.
- If three different jobs in a row fail unexpectedly, run out of memory or compute numbers that are not finite, their worker exits
  with status 76 (`worker_health.py`).
- If the job that learns a shared concept disappears, one of the waiting jobs learns the concept, about 2 s later.

Several attempts run in one process if `S2EDIT_WORKER_JOBS` says so, each in a thread with a heartbeat, a lease and an engine
session of its own (`slots.py`). They share the device, and so its failures:

- A process that must end (statuses 75 to 77) first lets its other attempts hand their jobs back, uncounted, for up to 3 s.
- A device that hangs counts for every attempt that has waited through the hang, and a process that is killed for all its attempts:
  any of them may be the reason. The last attempt of a job runs alone (`company.py`), so a job that kills its workers parks only
  itself.
- One user's first edits may take minutes. The last place of a process with eight or more takes no job of a user who has one there
  already: its thread asks the job store for somebody else's four times a second, until another place is free.
"""
