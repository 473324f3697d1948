"""The synthetic world that the lab trains on and measures with.

    person, cat, church    the domains (rooms)
    domain, domains        what every domain offers; all of them
    painting               how domains paint (a room)
    full_size              people as photographs of many megapixels
    phone_files            files as phones write them
    names                  pseudo-names in captions
    sheet, sample          contact sheets; the demo's photos

A subject is drawn from a seed. Because the drawing is parametric, the ground truth of every edit and mask is known.
"""
