"""Training of the shipped model from scratch.

    train                    the driver: every stage within its time
    trial                    the whole training in a minute, to try a machine
    render, dataset          the training set: rendered, and on disk
    store                    the training set on the device
    tokenizer                its words
    autoencoder, denoiser    stages: pictures to latents; the UNet and the text encoder
    alignment, scorer        the denoiser's second task; the network whose features it guesses
    starting                 from the weights of another model, and with names of looks
    trainer, optimisers      what all stages share
    export                   the model's folder, and archives

Every stage resumes from its last checkpoint.
"""
