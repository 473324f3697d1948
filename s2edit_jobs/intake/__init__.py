"""The steps between a request and an accepted job: building the draft, continuing from an earlier edit, forecasting a dry run.

Policy and consent are checked here, before anything is stored. This room may import all others of `s2edit_jobs`.
"""
