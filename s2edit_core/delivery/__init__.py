"""From the model's frame back to a file: the canvas, the edit as a difference at the photo's resolution, reports, and the
watermark.

This room imports `pictures`, `request` and `errors`.
"""
