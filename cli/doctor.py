"""`s2edit doctor`: what this installation consists of, and whether each part works."""

from __future__ import annotations

import importlib
import json
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from s2edit_jobs.bootstrap import build_artifacts, build_services
from s2edit_jobs.embedded_redis import EmbeddedRedis, EmbeddedRedisError, find_redis_server
from s2edit_jobs.errors import JobNotFound, JobsError
from s2edit_jobs.record import Owner
from s2edit_jobs.settings import Settings

Verdict = Literal["ok", "note", "broken"]
MODEL_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
WITH_WEIGHTS = ("unet", "vae", "text_encoder")
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
PROBE = "doctor"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one part. `broken`: an edit can't work. `note`: worth knowing."""

    part: str
    verdict: Verdict
    text: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at every part in turn; a part that fails doesn't keep the others from being looked at."""
    checks: tuple[tuple[str, Callable[[Settings], Finding]], ...] = (
        ("versions", _versions),
        ("torch", _torch),
        ("redis", _external_redis if settings.redis_url else _embedded_redis),
        ("store", _external_store if settings.s3_bucket else _embedded_store),
        ("model", examine_model),
    )
    for part, check in checks:
        try:
            yield check(settings)
        except Exception as error:  # whatever a broken installation throws is the finding
            yield Finding(part, "broken", f"{type(error).__name__}: {error}")


def _versions(_settings: Settings) -> Finding:
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Finding("versions", "broken", f"Python {platform.python_version()}; 3.11 or 3.12 is needed")
    names = ("s2edit", "diffusers", "transformers", "celery", "redis", "fastapi")
    return Finding(
        "versions", "ok", f"Python {platform.python_version()}, " + ", ".join(f"{name} {_version(name)}" for name in names)
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _torch(settings: Settings) -> Finding:
    torch = importlib.import_module("torch")
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    text = f"torch {torch.__version__}, " + (
        f"CUDA: {', '.join(devices)}" if devices else f"CPU, {torch.get_num_threads()} threads"
    )
    if settings.device.startswith("cuda") and not devices:
        return Finding("torch", "broken", f"{text}; S2EDIT_DEVICE is {settings.device} and there is no CUDA device")
    return Finding("torch", "ok", text)


def _embedded_redis(_settings: Settings) -> Finding:
    """Starts one in an empty folder, as `s2edit up` would in the data folder."""
    try:
        server = find_redis_server()
        with tempfile.TemporaryDirectory(prefix="s2edit-doctor-") as folder, EmbeddedRedis(Path(folder)):
            return Finding("redis", "ok", f"embedded: {server} starts and answers")
    except EmbeddedRedisError as error:
        return Finding("redis", "broken", f"embedded: {error}")


def _external_redis(settings: Settings) -> Finding:
    where = f"external: {settings.masked()['redis_url']}"
    try:
        build_services(settings).store.get(Owner(PROBE, PROBE), PROBE)
    except JobNotFound:
        pass
    except JobsError as error:
        return Finding("redis", "broken", f"{where} does not answer: {error}")
    return Finding("redis", "ok", f"{where} answers")


def _embedded_store(settings: Settings) -> Finding:
    folder = next(path for path in (settings.artifacts_dir, *settings.artifacts_dir.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding("store", "ok", f"embedded: files in {settings.artifacts_dir}")
    except OSError as error:
        return Finding("store", "broken", f"embedded: {folder} can't be written: {error.strerror}")


def _external_store(settings: Settings) -> Finding:
    """One look for an object that isn't there: proves address, keys and bucket."""
    where = f"external: {settings.s3_endpoint_url or 'Amazon S3'}, bucket {settings.s3_bucket}"
    try:
        build_artifacts(settings).exists(PROBE)
    except JobsError as error:
        return Finding("store", "broken", f"{where} does not answer: {error}")
    return Finding("store", "ok", f"{where} answers")


def examine_model(settings: Settings) -> Finding:
    """Whether the model folder is complete; it is not loaded."""
    folder = Path(settings.model).expanduser()
    if not folder.is_dir():
        if settings.model == Settings.model_fields["model"].default or not HUB_ID.fullmatch(settings.model):
            return Finding("model", "broken", f"there is no folder {settings.model}")
        return Finding("model", "note", f"{settings.model} is not a folder here: the worker will ask the model hub for it")
    lacking = list(_missing_parts(folder))
    if lacking:
        return Finding("model", "broken", f"{folder} is incomplete: {', '.join(lacking)}")
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    return Finding("model", "ok", f"{folder} is complete, {size / 1e6:.1f} MB of weights")


def _missing_parts(folder: Path) -> Iterator[str]:
    """What diffusers' layout wants and `folder` lacks."""
    index = folder / "model_index.json"
    if not index.is_file():
        yield "no model_index.json"
        return
    listed = json.loads(index.read_text(encoding="utf-8"))
    for part in MODEL_PARTS:
        if part not in listed:
            yield f"{part} is not in model_index.json"
        elif not any((folder / part).glob("*.json")):
            yield f"no configuration in {part}/"
        elif part in WITH_WEIGHTS and not any((folder / part).glob("*.safetensors")):
            yield f"no weights in {part}/"
