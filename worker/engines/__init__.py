"""The engine port and its implementations: S²Edit, an engine without a model (tests and test mode), and three wrappers.

Each attempt uses a session of the engine, a cheap object over the shared model. Its rows go through the row scheduler
(`shared_passes.py`), everything else runs in the attempt's thread. Models beside the UNet that are not thread-safe take turns.

The wrappers check safety, sign content credentials, and give failures of the device one exception type. Signing wraps the safety
check, which wraps S²Edit, so no unsafe result is signed. `guarded` wraps all others. S²Edit itself adds the watermark, before it
measures the result for the report.
"""
