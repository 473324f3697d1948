"""Values that API and worker exchange or store: jobs, errors, files, webhooks, test mode.

Nothing here does I/O but reading a tokenizer.
"""
