"""From the model's frame back to a file: the canvas, the edit as a difference at the photo's resolution, the report, the watermark.

This room imports `pictures`, `request` and `errors`.
"""
