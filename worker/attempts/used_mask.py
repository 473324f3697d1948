"""The mask that a job uses: given, or found, and then kept with the job, so that another attempt goes on with the same."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from s2edit_core.errors import MaskInvalid
from s2edit_core.request.plan import digest
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing
from s2edit_jobs.records.record import InputFile, JobSpec
from s2edit_jobs.records.testmode import MASK_NOT_FOUND
from s2edit_jobs.stores.artifacts import JSON, edit_key
from worker.engines.engine import Found

PNG = "image/png"
MASK, TOLD = "mask-found.png", "mask-found.json"
"""Names in the job's folder."""


@dataclass(frozen=True, slots=True)
class UsedMask:
    """`told` is what reports say of it."""

    data: bytes
    file: InputFile
    told: Mapping[str, Any]


class UsedMasks:
    """Those of the jobs of one worker."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._artifacts = jobs.artifacts

    def of(self, spec: JobSpec, files: Mapping[str, bytes], find: Callable[[], Found]) -> UsedMask:
        """Return the job's mask, by `find` where there is none yet.

        Raises `MaskInvalid` in words for the caller where nobody is found, and what `find` and the stores raise.
        """
        if (given := spec.inputs.get("mask")) is not None:
            kept_with_identity = given.key.startswith(f"{spec.owner.prefix}concepts/")
            told = {"source": "identity"} if kept_with_identity else given.told or {"source": "given"}
            return UsedMask(files["mask"], given, told)
        if (kept := self._kept(spec)) is not None:
            return kept
        began = time.perf_counter()
        found = _found(spec, find)
        return self._keep(spec, found, time.perf_counter() - began)

    def _kept(self, spec: JobSpec) -> UsedMask | None:
        """What an earlier attempt has found. Its note is written after the mask, so whoever reads the note finds both."""
        try:
            told = json.loads(self._artifacts.get(edit_key(spec.owner, spec.id, TOLD)))
            return _used(spec, self._artifacts.get(edit_key(spec.owner, spec.id, MASK)), told)
        except ArtifactMissing:
            return None

    def _keep(self, spec: JobSpec, found: Found, seconds: float) -> UsedMask:
        """Raises `JobNotFound` where the job was erased meanwhile."""
        told = {
            "source": "found",
            "segmenter": found.segmenter,
            "people": found.people,
            "confidence": found.confidence,
            "box": found.box,
            "seconds": round(seconds, 3),
        }
        for name, data, media_type in ((MASK, found.mask_png, PNG), (TOLD, json.dumps(told).encode(), JSON)):
            key = edit_key(spec.owner, spec.id, name)
            with suppress(ArtifactExists):  # an earlier attempt came as far
                self._jobs.put_for(spec.owner, spec.id, key, data, media_type=media_type, only_if_absent=True)
        return self._kept(spec) or _used(spec, found.mask_png, told)


def _found(spec: JobSpec, find: Callable[[], Found]) -> Found:
    try:
        return find()
    except MaskInvalid as error:
        if error.reason != MASK_NOT_FOUND:
            raise
        at = spec.request.at
        words = (
            "nobody was found in the photo: send a mask of the person, or point at the person with `at`"
            if at is None
            else f"nobody was found at {at[0]},{at[1]}: point at another pixel of the person, or send a mask"
        )
        raise MaskInvalid(words, field=error.field, reason=error.reason) from error


def _used(spec: JobSpec, data: bytes, told: Mapping[str, Any]) -> UsedMask:
    return UsedMask(data, InputFile(edit_key(spec.owner, spec.id, MASK), digest(data), len(data), PNG), told)
