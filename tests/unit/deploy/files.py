"""The deployment files, read once."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
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
    """Whether .dockerignore lets a path through. As in Docker, the last rule that matches the path or a folder above it decides."""
    sent = True
    whole = PurePath(path)
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = _pattern(line.removeprefix("!"))
            if any(pattern.fullmatch(part.as_posix()) for part in (whole, *whole.parents)):
                sent = line.startswith("!")
    return sent


def _pattern(rule: str) -> re.Pattern[str]:
    """A rule of .dockerignore: `**/` stands for any folders or none, `*` for a part of one name."""
    parts = re.split(r"(\*\*/|\*)", rule)
    return re.compile("".join({"**/": "(?:.*/)?", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts))
