"""Read the input files of a job from the object store."""

from __future__ import annotations

from collections.abc import Mapping

from s2edit_core.errors import OptionInvalid
from s2edit_core.request.plan import digest
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.library.library import CONCEPT
from s2edit_jobs.records.errors import ArtifactMissing
from s2edit_jobs.records.files import MASKS
from s2edit_jobs.records.record import JobSpec
from s2edit_jobs.stores.artifacts import concept_key
from worker.engines.engine import EditInputs


class InputDamaged(Exception):
    """A stored input file differs from the one that was accepted."""


def identity_erased() -> OptionInvalid:
    """Return the error for an edit whose identity was erased."""
    return OptionInvalid("the identity that the edit names was erased: learn it again", field="identity", reason="identity_unknown")


def read_files(jobs: Jobs, spec: JobSpec) -> dict[str, bytes]:
    """Return the job's input files by name.

    Raise `JobNotFound` if the job was erased. Raise `OptionInvalid` if only its files were: they belonged to an identity.
    """
    try:
        files = {name: jobs.artifacts.get(file.key) for name, file in spec.inputs.items()}
    except ArtifactMissing:
        jobs.spec(spec.owner, spec.id)
        raise identity_erased() from None
    for name, data in files.items():
        if digest(data) != spec.inputs[name].sha256:
            raise InputDamaged(name)
    return files


def engine_inputs(jobs: Jobs, spec: JobSpec, files: Mapping[str, bytes]) -> EditInputs:
    """Return the engine's inputs: `files` and the concepts of the attributes. Raise `OptionInvalid` if an attribute was erased."""
    attribute_ids = spec.request.attributes if isinstance(spec.request, EditRequest) else ()
    attributes = tuple(_attribute(jobs, spec, attribute_id) for attribute_id in attribute_ids)
    modes = {f"{name}_mode": spec.inputs[name].mask_mode for name in MASKS if name in files}
    return EditInputs(image=files["image"], mask=files["mask"], edit_mask=files.get("edit_mask"), attributes=attributes, **modes)


def _attribute(jobs: Jobs, spec: JobSpec, attribute_id: str) -> bytes:
    try:
        return jobs.artifacts.get(concept_key(spec.owner, attribute_id, CONCEPT))
    except ArtifactMissing:
        raise OptionInvalid(
            f"the attribute {attribute_id!r} was erased: learn it again", field="attributes", reason="attribute_unknown"
        ) from None
