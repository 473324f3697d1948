"""The mask of a job: sent with the request, or found by the engine and then stored, so that later attempts use the same one.

The first of these that there is: the mask of the request, identity or parent; the mask that an earlier attempt found; what the
engine's segmenter finds now (`s2edit_core.vision.segmenters`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from s2edit_core.errors import MaskInvalid
from s2edit_core.request.plan import digest
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, RecordDamaged
from s2edit_jobs.records.record import InputFile, JobSpec
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.records.stored import damaged, read_values
from s2edit_jobs.records.testmode import MASK_NOT_FOUND
from s2edit_jobs.stores.artifacts import JSON, edit_key
from worker.engines.engine import DetectedMask

PNG = "image/png"
MASK, MASK_REPORT = "mask-found.png", "mask-found.json"
"""Names of the stored mask and of its section in the report, in the job's folder."""


@dataclass(frozen=True, slots=True)
class JobMask:
    """The mask as a file, and its section in the job's report."""

    data: bytes
    file: InputFile
    report: Mapping[str, Any]


class JobMasks:
    """Finds, stores and loads the masks of jobs."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._artifacts = jobs.artifacts

    def of(self, spec: JobSpec, files: Mapping[str, bytes], find: Callable[[], DetectedMask]) -> JobMask:
        """Return the job's mask. Call `find` if none was sent or stored.

        Raise `MaskInvalid` with a message for the caller if `find` detects nobody. Also raise what `find` and the stores raise.
        """
        if (given := spec.inputs.get("mask")) is not None:
            kept_with_identity = given.key.startswith(f"{spec.owner.prefix}concepts/")
            report = {"source": "identity"} if kept_with_identity else given.mask_report or {"source": "given"}
            return JobMask(files["mask"], given, report)
        if (kept := self._kept(spec)) is not None:
            return kept
        began = time.perf_counter()
        found = _found(spec, find)
        return self._keep(spec, found, time.perf_counter() - began)

    def _kept(self, spec: JobSpec) -> JobMask | None:
        """Return the mask that an earlier attempt found, or None, also if it is damaged. Raise `RecordNewer`.

        The report is written last, so if it exists, both files do.
        """
        key = edit_key(spec.owner, spec.id, MASK_REPORT)
        try:
            report = read_values("found mask", self._artifacts.get(key))
            mask = self._artifacts.get(edit_key(spec.owner, spec.id, MASK))
            if report.pop("sha256", digest(mask)) != digest(mask):  # earlier releases store no digest
                raise damaged("found mask", "it is not the one that was found")
        except ArtifactMissing:
            return None
        except RecordDamaged as error:
            count_aside("found mask", key, error)
            return None
        return _used(spec, mask, report)

    def _keep(self, spec: JobSpec, found: DetectedMask, seconds: float) -> JobMask:
        """Store a mask that was just found. Raise `JobNotFound` if the job was erased meanwhile."""
        report = {
            "source": "found",
            "segmenter": found.segmenter,
            "people": found.people,
            "confidence": found.confidence,
            "box": found.box,
            "seconds": round(seconds, 3),
        }
        for first in (True, False):  # the first attempt wins, unless what it stored is damaged
            self._put(spec, MASK, found.mask_png, media_type=PNG, only_if_absent=first)
            mask = self._artifacts.get(edit_key(spec.owner, spec.id, MASK))
            stored = json.dumps({**report, "sha256": digest(mask)}).encode()
            self._put(spec, MASK_REPORT, stored, media_type=JSON, only_if_absent=first)
            if (kept := self._kept(spec)) is not None:
                return kept
        return _used(spec, found.mask_png, report)

    def _put(self, spec: JobSpec, name: str, data: bytes, *, media_type: str, only_if_absent: bool) -> None:
        key = edit_key(spec.owner, spec.id, name)
        with suppress(ArtifactExists):
            self._jobs.put_for(spec.owner, spec.id, key, data, media_type=media_type, only_if_absent=only_if_absent)


def _found(spec: JobSpec, find: Callable[[], DetectedMask]) -> DetectedMask:
    try:
        return find()
    except MaskInvalid as error:
        if error.reason != MASK_NOT_FOUND:
            raise
        at = spec.request.at
        message = (
            "nobody was found in the photo: send a mask of the person, or point at the person with `at`"
            if at is None
            else f"nobody was found at {at[0]},{at[1]}: point at another pixel of the person, or send a mask"
        )
        raise MaskInvalid(message, field=error.field, reason=error.reason) from error


def _used(spec: JobSpec, data: bytes, report: Mapping[str, Any]) -> JobMask:
    return JobMask(data, InputFile(edit_key(spec.owner, spec.id, MASK), digest(data), len(data), PNG), report)
