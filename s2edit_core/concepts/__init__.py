"""Concepts: what was learned about a user, and how prompts with concepts become keys, values and gates for the UNet.

    concept             a learned person or attribute as a value, and its file
    seal                the digest that the file carries of itself
    conditioning        prompt and concepts to K, V and gates per cross-attention layer
    prompt_alignment    which tokens of two prompts correspond

This room imports `unet`, `base_model`, `request` and `errors`.
"""
