"""The OpenAPI description beyond what FastAPI derives: texts, examples, headers, errors.

It reads the wire and the guard, and no route.
"""
