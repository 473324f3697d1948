"""The `s2edit` command. `service` runs everything on this machine; `client`, `demo` and `display` are an app over HTTP."""
