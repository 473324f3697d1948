"""The base model as files: the layout of folders and checkpoints, the model card, the noise schedule, the fingerprint, and loading.

    model_files           which files a base model has, and whether it can be loaded; `SHIPPED_MODEL`
    single_file_layout    the family of a single-file checkpoint, from its tensors
    scheduler_config      which noise schedules are supported
    model_card            words and guidance scales that suit the model
    loading               folder, single file or hub id to UNet, auto-encoder and text encoder
    freed_memory          how the C library treats memory that torch frees
    thread_pools          the CPU threads of those that wait for a pass
    ddim                  sampling and inversion steps
    fingerprint           what ties a concept to the model that it was learned on
    clip_words            CLIP's vocabulary, which single files lack

To add an architecture such as SDXL, follow "Add a backbone" in CONTRIBUTING.md.

This room imports `request` and `errors`.
"""
