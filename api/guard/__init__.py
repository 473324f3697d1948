"""What a request meets before its route: who calls, from which page, how often, how large. It imports the wire and no route.

    auth                  who calls, and what they may do
    device_tokens         credentials for one user's phone or browser
    failed_credentials    how many an address may send
    browsers              foreign pages are kept out
    rates                 requests per minute
    budgets               learnings and device seconds per day; edits of a device token
    upload_guard          asks `auth` before a body is read
    body_size             how many bytes a body may have
    slow_bodies           how slowly it may come
    whole_body            small bodies, buffered
    head                  HEAD on everything that GET serves
    caller_headers        headers that say whom a response is for
    public_address        the address in links back to the service
    request_log           one line per request

`auth` identifies the caller: by an API key, by a device token or, until the first key exists, as a program on this machine.
Every route asks it through `api.deps`. Another tenant's or user's things are answered as if they did not exist:
`tests/unit/api/guard/test_foreign_ids.py` tries every route.
"""
