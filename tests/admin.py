"""Keys of the scope `admin`, which nobody has without a key."""

from __future__ import annotations

from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.stores.artifacts import ArtifactStore


def admin_headers(artifacts: ArtifactStore, tenant: str = "default") -> dict[str, str]:
    """Create a key that may do everything in `tenant`. Return the headers that send it."""
    _, text = KeyRing(artifacts).create(tenant, ["admin"])
    return {"Authorization": f"Bearer {text}"}
