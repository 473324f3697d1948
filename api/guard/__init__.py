"""What a request meets before its route: who calls, from which page, how often, how large. It imports the wire and no route.

`auth` identifies the caller: by an API key, by a device token or, until the first key exists, as a program on this machine.
`upload_guard` asks it before a body is read; every route asks it through `api.deps`. `browsers` keeps foreign pages out. Another
tenant's or user's things are answered as if they did not exist: `tests/unit/api/guard/test_foreign_ids.py` tries every route.
"""
