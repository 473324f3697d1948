"""Write the OpenAPI description of the service: `python -m cli.openapi > clients/openapi.json`."""

from __future__ import annotations

import json

from api.app import create_app
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.memory import MemoryArtifactStore, MemoryJobQueue, MemoryJobStore


def text() -> str:
    """The same on every machine: no setting of this one is in it."""
    services = build_services(
        Settings(auth="open"), artifacts=MemoryArtifactStore(), store=MemoryJobStore(), queue=MemoryJobQueue()
    )
    return json.dumps(create_app(services).openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
