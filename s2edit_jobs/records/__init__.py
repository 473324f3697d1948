"""Values that API and worker exchange or store: jobs, errors, files, webhooks, test mode.

What is stored outlives releases, so readers accept what earlier releases wrote. Nothing here does I/O but reading a tokenizer.
"""
