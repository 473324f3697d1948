"""What an owner keeps: identities, attributes, uploads, and how all of it is erased.

Lists are read from the object store's folders, so no index can be lost. A concept's id is the digest of photo, mask (and how it is
read), source prompt, subject, model, settings and the card's attribute words (`s2edit_core.request.plan`): a second edit of the
photo finds what the first one learned. An inversion leaves a marker beside its identity and is erased with it. This room imports
`jobs`.
"""
