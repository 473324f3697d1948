"""Print the OpenAPI description of the service: `python -m cli.openapi > clients/openapi.json`."""

from __future__ import annotations

import json

from api.app import described_app


def text() -> str:
    """Return the description. It does not depend on the settings of this machine. Nothing is connected, read or written."""
    return json.dumps(described_app().openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
