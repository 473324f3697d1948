"""The paper (S²Edit, arXiv 2507.04584) as algorithms over rows: learning [I], inversion, editing, injection and composition.

    learning            [I] and [A] from one photo each (a room)
    inversion           photo to start noise
    editing             guided sampling with the target prompt
    injection           attention of the source prompt, read by the target (Prompt-to-Prompt)
    attribute_regions   where an attribute acts if nobody says it
    negation            negative prompts
    base_model_masks    a person's mask and word, found by the base model where a request gives none
    leakage             how much of a placeholder's attention falls outside its mask
    composer            photo, masks, prompts and concepts to the algorithms above
    stages              the same as generators of progress, for the worker
    inputs              checks of the pipeline's arguments
    output              what a call of the pipeline returns
    callbacks           `callback_on_step_end`, as in diffusers

This room imports `concepts`, `unet`, `base_model`, `delivery`, `pictures`, `request` and `errors`.
Its algorithms know neither devices nor batches.
"""
