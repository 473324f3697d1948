"""The quality bench over people, cats and churches: `python -m lab.quality.worlds`.

It edits unseen subjects whose true answers are known, with and without [I], and compares the results. [I] is learned from the
edited photo, or from other photos of the same subject, as an app uses a stored identity. `generalisation` shows what is learned
while it is learned, and `names` how much of a person a trained name holds.
"""
