"""Training of the shipped model and its segmenter, from nothing."""
