"""Benches of the service's own cost. `overhead` measures what the API adds to a bare HTTP handler."""
