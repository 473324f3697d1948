"""The deployment files, read once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILES = ("Dockerfile.gpu", "deploy/Dockerfile.api")


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Each instruction and its argument, with continued lines joined and comments left out."""
    text = (ROOT / dockerfile).read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    text = text.replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0].upper(), line.split(maxsplit=1)[1].strip()) for line in text.splitlines() if line.strip()]


def sent_to_the_builder(path: str) -> bool:
    """Whether .dockerignore, which names what is sent after a `*`, lets a path of the project's root through."""
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in rules
    return f"!{path.split('/')[0]}" in rules
