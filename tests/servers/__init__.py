"""Servers that tests start: Redis servers that a test may change, and a real S3 server."""
