"""Jobs in object store and job store: accept, read, cancel, finish; the same request twice is one job.

Edits, learning ahead (`LearningRequest`) and finding a mask (`MaskRequest`) are jobs of one kind: leases, checkpoints, events and
webhooks are the same. A request writes the marker of its Idempotency-Key first, then takes a queue slot, then writes inputs and
`spec.json`. `spec.json` is the job's right to write: whoever writes for a job looks afterwards whether it is still there, and takes
the write back if not (`Jobs.put_for`). This room imports `bootstrap` and what lies below it.
"""
