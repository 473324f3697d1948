"""`s2edit mcp`: an MCP server over a running service, for agents and chat programs.

`command` has the options, `server` the two transports, `requests` the bounds of HTTP, `tools` the tools, and `words` what a
model reads about them. `photos` reads the pictures that a tool is given, `waiting` follows a job, `answers` shows what came of
it. The server keeps nothing: jobs, people and attributes are those of the service, so their ids outlive it.
"""
