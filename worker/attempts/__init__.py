"""One attempt at one job: claim it, keep the lease, work, publish once.

Any attempt may die at any point. What was made on the way is kept at once. So the next attempt begins after the last finished
phase, and inside learning at the last checkpoint. Result and report are named by the fence of the lease. `outcome.json` is written
only if absent, so exactly one attempt ends the job.

A concept is learned once. The attempt that finds none reserves it for its job; other jobs wait for it outside the queue. When a
worker dies, the reservation stays with the job and passes to its next attempt. So a photo that kills workers kills
`max_attempts` of them, however many edits wait for it.
"""
