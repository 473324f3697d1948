"""One attempt at one job: claim it, keep the lease, work, publish once."""
