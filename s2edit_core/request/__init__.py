"""Requests: options, prompts, presets and the plan of an edit, checked by the same rules in the API and the worker. Loads no torch.

This room imports only `errors`.
"""
