"""Small networks that score pictures, trained on rendered pictures only.

`attributes` classifies what a picture of each domain shows, `identities` estimates its identity; `training` trains both.
`adherence` measures how often the shipped model draws what a caption names.
"""
