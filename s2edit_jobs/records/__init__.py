"""Values that the API and the workers exchange or store: jobs, errors, files, webhooks, test mode.

Stored values outlive releases, so readers accept what earlier releases wrote. The only I/O here is reading a tokenizer.
"""
