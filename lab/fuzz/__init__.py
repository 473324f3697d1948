"""Property-based fuzzing of the API against its OpenAPI description: `python -m lab.fuzz`.

schemathesis generates valid and invalid requests. Every answer must be one that the description names, and no answer may be a 5xx.
"""
