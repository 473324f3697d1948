"""What `s2edit doctor` examines: the parts of an installation, and the rights that the service has in its object store."""
