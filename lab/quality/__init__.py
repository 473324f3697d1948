"""The quality bench: edits of unseen portraits held against their true answers, by every method. `python -m lab.quality`."""
