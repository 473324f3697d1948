"""What an owner keeps: identities, attributes, uploads, and how all of it is erased.

This room imports `jobs`.
"""
