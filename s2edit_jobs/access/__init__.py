"""Who may do what, and the log of it: API keys, ended tokens, the prompt policy, the audit log.

Keys lie in the object store as digests and are believed for two seconds, so a revoked key ends within that time. When the object
store is down, nobody gets in.
"""
