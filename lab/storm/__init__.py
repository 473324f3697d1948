"""Storms: the whole service while its processes are killed, cut off or crowded. `python -m lab.storm`."""
