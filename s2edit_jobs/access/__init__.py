"""Access control and its audit log: API keys, revoked device tokens, the prompt policy.

    keys              API keys, their tenants and scopes
    revoked_tokens    users whose device tokens were revoked
    spent_units       what device tokens have spent, and until when it is kept
    policy            which prompts are refused
    audit             the log of who did what
    host_names        host names that lead to this machine

The object store holds keys as digests. A process caches a key for two seconds, so a revocation takes effect within two seconds.
While the object store is down, every request that needs a key is rejected.
"""
