"""Judges of pictures, trained on renders alone: attributes, identity, and whether the model draws what a caption says."""
