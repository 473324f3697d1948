"""Small networks that score pictures, trained on rendered pictures only.

`attributes` classifies what a picture of each domain shows, `identities` estimates its identity; `training` trains both.
`adherence` measures how often a model of these domains draws what a caption names.
`judge` and `regressor` are those of `models/portraits-128`. `obedience` measures how often that model draws what a caption names.
"""
