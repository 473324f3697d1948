"""Measurements of s2edit, and everything that they need.

    world             draws people, cats and churches for which the correct result of every edit is known
    training          trains models on them
    judges            networks that score pictures
    segmentation      the network that finds the subject
    measures          figures and helpers that several benches share
    quality           bench: edits beside other methods and the true answers
    photos            bench: photographs at full resolution
    speed             bench: passes, jobs and crowds of jobs on one device
    load              bench: the running service under load
    service           benches: what single parts of the service cost
    neighbours        bench: what one tenant costs another
    rivals            bench: servers that speak OpenAI's API
    storm             fault injection
    fuzz              fuzzing of the API
    mutants           plants bugs, and sees whether storm and tests notice
    front_page        writes the README's tables
    tables            results as Markdown tables
    studio_samples    pictures of the studio for the documentation

Each bench writes a file to `lab/results/`.
"""
