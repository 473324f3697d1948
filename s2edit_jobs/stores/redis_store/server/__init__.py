"""The Redis server beneath the job store: the connection to it, the checks of its settings, and what it keeps on its disk.

The roles of the job store import this room, which imports none of them.
"""
