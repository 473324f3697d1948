"""Write `deploy/env.example` from the settings: `python -m cli.env_example > deploy/env.example`."""

from __future__ import annotations

import textwrap

from pydantic_core import PydanticUndefined

from s2edit_jobs.settings import Settings

HEAD = """\
# All settings of the service. Copy this file to .env beside docker-compose.yml, or set the variables in the environment.
# A variable that is unset or empty has its default. Written by `python -m cli.env_example`.
"""

COMPOSE = """\
# --- docker compose only ---
# `docker compose` reads this file as .env. It sets S2EDIT_REDIS_URL, S2EDIT_DATA_DIR and the store's addresses itself.
# Give these four of the settings above a value, and keep it after a restart. All parts must have the same values.
#   S2EDIT_S3_ACCESS_KEY_ID, S2EDIT_S3_SECRET_ACCESS_KEY    of your choice: the bundled object store takes them as its credentials
#   S2EDIT_AUDIT_KEY    for example from: openssl rand -base64 32
#   S2EDIT_RECEIPT_KEY  for example from: openssl ecparam -name prime256v1 -genkey -noout | awk '{printf "%s\\\\n", $0}'

# The worker to start: `gpu`, or `cpu` on a machine without an NVIDIA GPU.
COMPOSE_PROFILES=gpu

# Ports on this machine's loopback interface.
#API_PORT=8000
#STORE_PORT=8333

# Package index that the worker's image takes torch from, for example PyTorch's index of CPU builds.
#TORCH_INDEX_URL=
"""


def text() -> str:
    """Return the file: per setting, its description as a comment and the variable with its default."""
    paragraphs = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined) else str(field.default)
        meaning = textwrap.wrap(f"{field.description}.", width=118, initial_indent="# ", subsequent_indent="# ")
        paragraphs.append("\n".join([*meaning, f"#S2EDIT_{name.upper()}={default}"]))
    return "\n\n".join([HEAD.rstrip(), *paragraphs, COMPOSE])


if __name__ == "__main__":
    print(text(), end="")
