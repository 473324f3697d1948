"""From the model's frame back to a file: canvas, change at the photo's resolution, output formats, reports and watermark.

This room imports `pictures`, `request` and `errors`.
"""
