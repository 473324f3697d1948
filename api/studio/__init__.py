"""The HTML pages: the studio at `/` and the API reference at `/docs`. They load nothing from other servers.

`static/` is the studio, plain modules of JavaScript without a build step. Its `main.js` lists them by subject.
`suggestions.py` answers whether what its user typed is an instruction, by the same rules as for every prompt.
"""
