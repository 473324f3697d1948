"""The synthetic world that the lab trains on and measures with.

    portraits, people, features, drawing    the portraits that the shipped model draws: rendering, identity, parts, shapes
    person, cat, church                     the domains of the next model (rooms)
    domain, domains                         what every domain offers; all of them
    painting                                how domains paint (a room)
    edits                                   the edits of the quality bench
    full_size                               people as photographs of many megapixels
    photographs                             the same of the portraits
    phone_files                             files as phones write them
    names                                   pseudo-names in captions
    dataset                                 where renders are kept, and the portraits' unseen seeds
    sheet, sample                           contact sheets; the demo's photos

A person is drawn from a seed as a portrait, a photograph or part of a scene. Because the drawing is parametric, the ground truth of
every edit and mask is known.
"""
