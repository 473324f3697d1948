"""Fuzz the whole API by its own description: `python -m lab.fuzz`."""
