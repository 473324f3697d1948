"""Run one attempt at a job: claim it, renew the lease, work, publish the result once.

An attempt may die at any point. Intermediate artifacts are stored at once, so the next attempt begins after the last finished
phase, or within learning at the last checkpoint. The keys of result and report contain the lease's fence. `outcome.json` is
written only if absent, so exactly one attempt ends the job.

A concept is learned once. The first attempt that needs it reserves it for its job; other jobs wait for it outside the queue. If
the worker dies, the job keeps the reservation for its next attempt. So a photo that crashes workers crashes at most
`max_attempts` of them, however many edits wait for it.

`runner.py` begins and ends an attempt, `engine_run.py` drives the engine, `control.py` interrupts it, `publishing.py` stores the
results.
"""
