"""Small networks that score pictures, trained on rendered portraits only.

`judge` classifies the attributes that a portrait shows, `regressor` estimates its identity parameters. `obedience` measures how
often the shipped model draws what a caption names.
"""
