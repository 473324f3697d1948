"""The engine port and its adapters: S²Edit, engines without a model for tests and test mode, and two engines around an engine.

Those two check safety and sign content credentials. The order is signing around safety around drawing: nothing unsafe is signed. A
watermark is drawn by the engine itself, before the report measures the result.
"""
