"""What a user stores besides jobs: identities, attributes and uploads; and the erasure of all of it.

    concepts         identities and attributes
    identity_terms   consent and TTL of a new identity
    concept_files    checks of identity files that users import
    uploads          files that apps send ahead of a request
    edit_list        the list of a user's edits
    last_use         when an identity and its inversions were last used
    retention        removes what has expired, such as idle identities
    erased_concepts  which identities and attributes were erased, so that no earlier request learns them again
    erasure          erases an edit, an identity, an attribute or a user
    erasure_markers  which erasures of users are under way, and which of their processes are alive

Lists are read from the folders of the object store, so there is no index that could be lost. A concept's id is a digest of
everything that it depends on (`s2edit_core.request.plan`), so a second edit of the same photo finds what the first one learned.
Each inversion has a marker in its identity's folder and is erased with the identity. This room imports `bootstrap`, `lifecycle`,
`stores` and `records`.
"""
