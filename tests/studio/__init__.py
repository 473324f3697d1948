"""The studio page in a real browser, against a running service in test mode."""
