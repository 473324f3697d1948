"""S²Edit (arXiv 2507.04584): learn who is in a photo, then edit the photo by a sentence and keep that person.

This package is the method: torch, diffusers and transformers, and nothing of web, queue or storage. Importing it loads
nothing, so that `s2edit_core.request.spec`, `plan`, `errors` and `pictures` stay cheap for programs without torch.
"""
