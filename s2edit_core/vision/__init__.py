"""Other models that look at the photo: segmenters find a person, captioners describe the photo, safety models judge it.

Segmenters are opened in `segmenters.py`, captioners are in `captions.py`, safety models in `safety.py`.
This room imports `base_model`, `pictures`, `request` and `errors`. Each adapter imports its library on first use.
"""
