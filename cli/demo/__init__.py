"""`s2edit demo`: the run, its pictures in one strip, and the sample photo.

This room imports `checks`, `supervision`, `client` and `display`.
"""
