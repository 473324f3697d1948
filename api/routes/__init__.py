"""The HTTP routes, one resource a module. Only `api.app` imports them.

`submissions` has the steps that all routes share which accept a job. `edit_submissions` adds those of edits; `edits` and
`edits_json` are the two forms of `POST /edits`.
"""
