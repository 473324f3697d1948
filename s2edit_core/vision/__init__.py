"""Other models that look at the photo: segmenters find a person, captioners describe the photo, safety models judge it.

    segmenters               the protocol, and the choice among the adapters
    segmenter_names          their names, and what each needs; no torch
    person_network           the segmenter of the shipped model
    litert                   MediaPipe's and other TensorFlow Lite files
    transformers_segmenter   any segmentation model of transformers
    clipseg_and_sam          its two models that take words or a point
    people                   one person's mask from a probability map
    reference_person         who shows an attribute in a reference photo
    captions                 captioners
    safety                   safety models
    pretrained               loads a model with all weights or not at all

This room imports `base_model`, `pictures`, `request` and `errors`. Each adapter imports its library on first use.
"""
