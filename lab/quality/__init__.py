"""The quality bench: `python -m lab.quality`.

    bench                  the run over people, cats and churches
    population             whose pictures it edits, and how it measures them
    methods                the methods that it compares; add one here
    phases                 how a method learns, inverts and edits, and its cost
    delivered              the figures of an edit in the person's photo
    published              methods of others (a room)
    worlds                 edits with [I] of other photos, and makeup from another photo (a room)
    benchmarks             the same methods on benchmarks of photographs (a room)
    savings                what a method with less work costs
    runs, parts, recipes   results files, cached outputs, and what they depend on
    table                  results as Markdown

It edits unseen subjects with S²Edit and with other methods, and compares each result with its ground truth. `benchmarks` runs the
same methods on PIE-Bench.
"""
