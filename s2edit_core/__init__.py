"""S²Edit (arXiv 2507.04584): learn the identity in one photo, then edit the photo by text while keeping that identity.

This package is the method, on torch, diffusers and transformers. It knows no web, queue or storage. Importing the package loads
nothing, so that programs without torch can import `errors`, `request` and `pictures`.
"""
