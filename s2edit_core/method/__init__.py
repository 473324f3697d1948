"""The paper (S²Edit, arXiv 2507.04584) as algorithms over rows: learning [I], inversion, editing, injection and composition.

This room imports `concepts`, `unet`, `base_model`, `delivery`, `pictures`, `request` and `errors`.
Its algorithms know neither devices nor batches.
"""
