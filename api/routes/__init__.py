"""The HTTP routes, one resource a module. Only `api.app` imports them."""
