"""S²Edit (arXiv 2507.04584): learn the identity in one photo, then edit the photo by text while keeping that identity.

    pipeline         the façade in diffusers' idiom
    method           learning, inversion and editing: the paper (a room)
    concepts         a learned person as a value; prompts to K, V and gates (a room)
    unet             rows, attention and the model that evaluates rows (a room)
    base_model       the base model's files, loading and DDIM (a room)
    vision           segmenters, captioners, safety models (a room)
    delivery         the edited frame back into the photo: file, report, preview, watermark (a room)
    pictures         files to pictures and masks (a room)
    request          requests, presets and prompts (a room)
    commands         the commands of `python -m s2edit_core` (a room)
    argument_types   a wrong type of argument is named at once
    whole_files      files that a user names, whole or not at all
    device_faults    which exceptions mean that the device failed or is out of memory
    errors           all errors of the package

This package is the method, on torch, diffusers and transformers. It knows no web, queue or storage. Importing the package loads
nothing, so that programs without torch can import `errors`, `request` and `pictures`.
"""
