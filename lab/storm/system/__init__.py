"""The system under test: the service's processes with engines of their own, fault points, and ports that pass through them.

This room imports no other room of `lab.storm`.
"""
