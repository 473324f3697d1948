"""Print the OpenAPI description of the service: `python -m cli.openapi > clients/openapi.json`."""

from __future__ import annotations

import json

from pydantic import SecretStr

from api.app import create_app
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.settings import Settings


def text() -> str:
    """Return the description. It does not depend on the settings of this machine, and nothing is connected."""
    key = SecretStr("signs nothing, and has 32 characters")
    settings = Settings(auth="open", redis_url="redis://127.0.0.1:1", audit_log="off", signing_key=key)
    services = build_services(settings)
    return json.dumps(create_app(services).openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
