"""Who may do what, and the log of it: API keys, ended tokens, the prompt policy, the audit log."""
