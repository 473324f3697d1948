"""Benches on full-resolution photographs: delivery, cost, masks, layouts, decoding. `python -m lab.photos` is the first."""
