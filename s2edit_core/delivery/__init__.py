"""From the model's frame back to a file: canvas, change at the photo's resolution, output formats, reports and watermark.

    framing           which part of the photo becomes the model's frame
    canvas            photo to frame and back
    asked             what the words of an edit ask for
    changes           what an edit changed, as maps, and what they make of the photo
    difference        the change of an edit, place by place
    guided            the change of all tones, and the regression behind both
    seam              the soft border inside the edit mask; outside it, nothing changes
    resampling        maps of any size, strip by strip
    output            the delivered file: format, colours, alpha
    watermark         the invisible mark "made by s2edit"
    report            measurements of a result
    preview           the small picture of a running edit
    preview_files     its file
    latent_colours    latents to preview pictures, without the decoder

This room imports `pictures`, `request` and `errors`.
"""
