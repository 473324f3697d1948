"""Files to pictures and masks: formats, containers, metadata, orientation, and limits while decoding. Loads no torch.

    files           picture files to pictures
    mask_files      mask files to masks of the photo's size, and what they may mark
    mask_drawings   which region a mask file draws, in which mode
    mask_regions    connected regions of a mask, and its specks
    containers      declared size and completeness, without decoding
    iso_header      the same for AVIF and HEIC
    png_chunks      the chunks of a PNG
    exif            orientation and colour space in Exif data
    metadata        what is removed from a file: Exif, GPS, comments
    iso_metadata    the same for AVIF and HEIC
    colours         profiles, alpha and 16-bit levels
    colour_codes    colour spaces given without a profile
    input_scale     a large photo that is scaled down on input
    data_urls       pictures in `data:` URLs

This room imports `request` and `errors`.
"""
