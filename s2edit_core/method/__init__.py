"""The paper: learning [I], inversion, editing, injection and composition (S²Edit, arXiv 2507.04584), as algorithms over rows.

This room imports everything below it, and nothing in it knows of files or of a device.
"""
