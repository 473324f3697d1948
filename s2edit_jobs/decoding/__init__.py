"""Decode strangers' pictures in processes without secrets, with limits on time and memory by the pixels that a header announces.

The API has those files decoded that `s2edit_core.pictures.containers` can't vouch for; the worker has every file decoded, before
its own process does it. A decoder that dies takes only its picture with it, and the job fails without another attempt.
"""
