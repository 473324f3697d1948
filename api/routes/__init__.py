"""The HTTP routes, one resource a module. Only `api.app` imports them.

`submissions` has the steps that all routes share which accept a job. `edit_submissions` adds those of edits. `json_bodies` has the
routes that accept a job as JSON, with uploads; the modules of the resources take it as a form.
"""
