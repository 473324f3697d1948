"""Accept, read, cancel and finish jobs, in the object store and the job store; idempotency of requests.

    jobs             the operations on jobs that the API and the workers share
    stored_jobs      reading a job from the object store
    attempt_files    removes the files of attempts that did not end the job
    idempotency      a repeated request leads to the same job
    request_markers  the markers of Idempotency-Keys, and what an erasure leaves of them
    history          the index of finished jobs, from which lists are read
    delayed          steps that the reaper repeats if they fail
    learnings        what a learning that is never completed leaves
    lifetimes        how long a finished job is kept
    refusals         what policy and safety model have refused
    unfinished       repairs what the job store lacks of unfinished jobs
    survey           walks through the whole object store now and then; notices that the job store has lost its jobs

Edits, learning ahead of an edit (`LearningRequest`) and finding a mask (`MaskRequest`) are all jobs, with the same leases,
checkpoints, events and webhooks. Accepting a job writes, in this order: the marker of the Idempotency-Key, the queue slot, the
input files, `spec.json`, the marker of the webhook, and the marker in `unfinished/`, which decides. A job exists as long as its
`spec.json` does. Code that writes an object for a job checks `spec.json` afterwards and deletes the object again if the job was
erased (`Jobs.put_for`). This room imports `bootstrap`, `stores` and `records`.
"""
