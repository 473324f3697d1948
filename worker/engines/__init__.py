"""The engine port and its implementations: S²Edit, an engine without a model (tests and test mode), and two wrappers.

The wrappers check safety and sign content credentials. Signing wraps the safety check, which wraps S²Edit, so no unsafe result is
signed. S²Edit itself adds the watermark, before it measures the result for the report.
"""
