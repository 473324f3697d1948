"""The drawn world: portraits, photographs, scenes and phone files, each with its true answer."""
