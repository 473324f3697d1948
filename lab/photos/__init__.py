"""Benches on full-resolution photographs: delivery, cost, masks, decoding, watermark. `python -m lab.photos` is the first."""
