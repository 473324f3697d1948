"""The faults of a storm: of processes, of Redis and of the object store, each at its moment and undone in time.

This room imports `system`, the plan and the client.
"""
