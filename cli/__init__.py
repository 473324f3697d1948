"""The `s2edit` command, and the modules that write generated parts of the repository.

    main           the commands and their options
    supervision    `s2edit up` (a room)
    checks         `s2edit doctor` (a room)
    demo           `s2edit demo` (a room)
    mcp_server     `s2edit mcp` (a room)
    keys           `s2edit keys`
    client         `s2edit edit`: a client of the HTTP API
    display        progress on the console
    terminal       ways to write on a terminal
    docs           writes the tables of the documentation
    env_example    writes `deploy/env.example`
    openapi        writes `clients/openapi.json`
    markdown       the generated parts of a page

The console script `s2edit` and `python -m cli` both run `main`.
"""
