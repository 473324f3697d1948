"""The steps between a request and an accepted job: its draft, an earlier edit that it continues, its forecast, the daily budgets.

Policy and consent are checked here, before anything is stored. This room may import all others of `s2edit_jobs`.
"""
