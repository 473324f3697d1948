"""What the OpenAPI description adds to FastAPI's: texts, examples, headers, links and errors.

It imports the wire and the guard, and no route.
"""
