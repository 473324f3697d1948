"""What travels: schemas, forms, problems, pages of lists, digests and receipts.

Nothing here knows who calls or which route answers.
"""
