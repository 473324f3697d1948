"""What a request becomes before it is accepted: a draft, its continuation from an earlier edit, and the forecast of a dry run.

Policy and consent are checked here, before anything is kept. The top room: it imports `library` and `jobs`.
"""
