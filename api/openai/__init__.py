"""`POST /v1/images/edits` and `GET /v1/models`, as OpenAI's SDKs and the gateways that speak their protocol call them.

`body` reads a form or JSON into one shape. `parameters` says what each of OpenAI's parameters means here, and which are refused.
`translation` makes of both a request as `POST /edits` takes it, so behind it is the same job. `waiting` waits for that job and
sends pictures, `streaming` sends events. No parameter is ignored: it is honoured, or the request is a 400 that says why.
`api.wire.openai_errors` gives errors OpenAI's shape.
"""
