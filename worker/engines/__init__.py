"""The engine port and its adapters: S²Edit, a twin without a model, and two engines around an engine.

Those two check safety and sign content credentials.
"""
