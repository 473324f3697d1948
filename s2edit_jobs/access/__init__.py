"""Access control and its audit log: API keys, revoked device tokens, the prompt policy.

The object store holds keys as digests. A process caches a key for two seconds, so a revocation takes effect within two seconds.
While the object store is down, every request that needs a key is rejected.
"""
