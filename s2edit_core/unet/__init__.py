"""The UNet side: the base model, attention with keys and values per row, and rows, the only interface that algorithms use.

    rows                 what algorithms ask for: latents with K, V and gates
    backbone             the base model, which evaluates rows
    row_scheduler        fills the passes of one model with the rows of several jobs
    row_queue            which rows are next
    unet_pass            one pass: inputs to ε, losses and gradients
    pass_buffers         the tensors that a pass reads
    pass_limit           how many rows fit into memory
    recorded             passes as CUDA graphs
    attention            the attention layers of a UNet, and the gates of a mask
    processors           the attention processors that read K, V and gates
    trainable_prompts    prompts that are learned: their text side for all rows at once
    text_projections     text states to K and V, for all layers at once
    precision            bf16, fp16 or fp32
    frozen_layers        faster linear layers and convolutions on the CPU
    kernels              those of our own on CUDA, and the layers that use them (a room)

Rows of several users share a pass as elements of one batch. `pass_buffers` stacks their latents, K, V and gates, and `processors`
gives each element its own. `tests/unit/core/unet/test_companions.py` shows that a row's answer does not depend on the others.

This room imports `base_model`, `request` and `errors`.
"""
