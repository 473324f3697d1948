"""The wire format: schemas, forms, problems, pagination, digests and receipts.

Nothing here knows the caller or the route.
"""
