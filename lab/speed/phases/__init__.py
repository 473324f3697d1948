"""What each phase of a run measures: the device, passes, whole jobs, many jobs at a time, and the reference way.

This room imports `subjects`, `timing` and `record`; `plan` calls it.
"""
