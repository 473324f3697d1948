"""`s2edit demo`.

    samples    the photos and the edits
    edits      post the edits and follow them
    strip      draw pictures, prompts and changes in one strip
    figures    what is shown and written of the results
    demo       the run

This room imports `checks`, `supervision`, `client` and `display`.
"""
