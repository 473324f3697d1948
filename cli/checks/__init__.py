"""What `s2edit doctor` examines: the parts of an installation, the settings, which `s2edit up` checks too, and the rights that the
service has in its object store.
"""
