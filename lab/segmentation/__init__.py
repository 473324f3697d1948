"""The shipped model's segmenter, the small network that finds the subject.

    training    its training
    scenes      the scenes that it learns from
"""
