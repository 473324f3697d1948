"""What only operators have: keys of the scope `admin`, and the token that shows metrics."""

from __future__ import annotations

from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.stores.artifacts import ArtifactStore

METRICS_TOKEN = "let prometheus in"
METRICS = {"Authorization": f"Bearer {METRICS_TOKEN}"}
"""The headers that show metrics in the tests."""


def admin_headers(artifacts: ArtifactStore, tenant: str = "default") -> dict[str, str]:
    """Create a key that may do everything in `tenant`. Return the headers that send it."""
    _, text = KeyRing(artifacts).create(tenant, ["admin"])
    return {"Authorization": f"Bearer {text}"}
