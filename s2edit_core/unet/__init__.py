"""The UNet side: the base model, attention with keys and values per row, and rows, the only interface that algorithms use.

`row_scheduler` fills the passes of one model with the rows of several jobs; `row_queue` decides which rows are next.

This room imports `base_model`, `request` and `errors`.
"""
