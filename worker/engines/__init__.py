"""The engine port and its implementations: S²Edit, an engine without a model (tests and test mode), and three wrappers.

The wrappers check safety, sign content credentials, and give failures of the device one exception type. Signing wraps the safety
check, which wraps S²Edit, so no unsafe result is signed. `guarded` wraps all others. S²Edit itself adds the watermark, before it
measures the result for the report.
"""
