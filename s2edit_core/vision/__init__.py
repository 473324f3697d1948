"""Other models that look at the photo: segmenters find a person, captioners describe the photo, safety models judge it.

This room imports `checkpoints`, `pictures`, `request` and `errors`. Each adapter imports its library on first use.
"""
