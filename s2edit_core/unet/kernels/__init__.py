"""Kernels of our own for a UNet in half precision on CUDA, written in Triton, and the layers that use them.

    choice               which kernels are used: those that agree with torch and, for attention, are faster
    layers               residual blocks, transformers, group norms and GEGLU with channels last
    feature_maps         the kernels of these layers
    gated_attention      the kernel of cross-attention with gates

`feature_maps` and `gated_attention` import Triton, which torch brings along on CUDA alone. So only `choice` imports them, and on a
CPU nobody does. This room imports none of `unet` beside it.
"""
