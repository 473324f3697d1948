"""Requests: options, prompts, presets and the plan of an edit, checked by the same rules in the API and the worker. Loads no torch.

    spec               the requests themselves
    presets            `paper`, `balanced`, `instant`: steps, guidance and options
    options            options of learning, inversion and injection
    plan               the ids of the concept and the inversion that an edit needs
    picture_limits     sizes of pictures, and what decoding one may use
    texts, numbers     bounds of texts; numbers written as text
    prompts            where [I] goes in a prompt
    prompt_syntax      notations of other programs, which are refused
    wording            prompts that are instructions, and how to describe what they ask for
    words, domains     nouns and their forms; the words of people, cats and churches

This room imports only `errors`.
"""
