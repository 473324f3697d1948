"""The quality bench: `python -m lab.quality`.

It edits unseen portraits with S²Edit and with other methods, and compares each result with its ground truth. `pie_bench` runs the
same methods on PIE-Bench.
"""
