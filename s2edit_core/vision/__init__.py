"""Other models that look at the photo: segmenters find a person, captioners describe it, safety classifiers refuse it.

This room imports `checkpoints`, `pictures`, `request` and `errors`; each adapter loads its library when it is first used.
"""
