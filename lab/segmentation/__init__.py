"""The network that finds the subject of a picture, as the shipped model carries it.

`training` trains it, on the pictures of `scenes`.
"""
