"""Writes `deploy/env.example` from the settings: `python -m cli.env_example > deploy/env.example`."""

from __future__ import annotations

import textwrap

from pydantic_core import PydanticUndefined

from s2edit_jobs.settings import Settings

HEAD = """\
# All settings of the service. Copy this file to .env beside docker-compose.yml, or set the variables in the environment.
# A variable that is not set, or empty, has its default. Written by `python -m cli.env_example`.
"""

COMPOSE = """\
# --- docker compose only ---
# `docker compose` reads these from .env. It sets S2EDIT_REDIS_URL, S2EDIT_DATA_DIR and the store's addresses by itself;
# S2EDIT_S3_ACCESS_KEY_ID and S2EDIT_S3_SECRET_ACCESS_KEY above must be given: the store is started with them.

# Which worker is started: `gpu`, or `cpu` on a machine without an NVIDIA GPU.
COMPOSE_PROFILES=gpu

# Ports on this machine's loopback interface.
#API_PORT=8000
#STORE_PORT=8333

# Another package index for torch while the worker's image is built, such as PyTorch's own one of CPU builds.
#TORCH_INDEX_URL=
"""


def text() -> str:
    """One paragraph per setting: what it means, then the variable with its default."""
    paragraphs = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined) else str(field.default)
        meaning = textwrap.wrap(f"{field.description}.", width=118, initial_indent="# ", subsequent_indent="# ")
        paragraphs.append("\n".join([*meaning, f"#S2EDIT_{name.upper()}={default}"]))
    return "\n\n".join([HEAD.rstrip(), *paragraphs, COMPOSE])


if __name__ == "__main__":
    print(text(), end="")
