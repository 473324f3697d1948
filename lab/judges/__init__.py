"""Small networks that score pictures, trained on rendered pictures only.

`attributes` classifies what a picture of each domain shows, `identities` estimates its identity; `training` trains both.
`judge` and `regressor` are those of `models/portraits-128`. `obedience` measures how often that model draws what a caption names.
"""
