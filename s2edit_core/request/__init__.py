"""What is asked: options, prompts, presets and the plan of an edit, checked by the same rules in API and worker. No torch.

This room imports only `errors`.
"""
