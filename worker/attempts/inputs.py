"""Read the input files of a job from the object store."""

from __future__ import annotations

from collections.abc import Mapping

from s2edit_core.errors import OptionInvalid
from s2edit_core.request.plan import digest
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.library.concept_files import check_stored_concept
from s2edit_jobs.library.concepts import CONCEPT
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactMissing, JobNotFound
from s2edit_jobs.records.files import MASKS
from s2edit_jobs.records.record import InputFile, JobSpec
from s2edit_jobs.records.stored import damaged
from s2edit_jobs.stores.artifacts import concept_key, edit_key
from worker.engines.engine import EditInputs


def identity_erased() -> OptionInvalid:
    """Return the error for an edit whose identity was erased."""
    return OptionInvalid("the identity that the edit names was erased: learn it again", field="identity", reason="identity_unknown")


def attribute_erased(attribute_id: str) -> OptionInvalid:
    """Return the error for an edit of which an attribute was erased."""
    return OptionInvalid(
        f"the attribute {attribute_id!r} was erased: learn it again", field="attributes", reason="attribute_unknown"
    )


def concept_erased(spec: JobSpec, concept_id: str) -> OptionInvalid:
    """Return the error for a job whose concept was erased after the job was accepted: one that it names, or that it learns."""
    if isinstance(spec.request, EditRequest) and concept_id in spec.request.attributes:
        return attribute_erased(concept_id)
    if isinstance(spec.request, EditRequest) and concept_id == spec.request.identity:
        return identity_erased()
    kind = "attribute" if concept_id.startswith("a_") else "identity"
    return OptionInvalid(
        f"the {kind} that this request learns was erased after the request was accepted: to learn it again, send a new request",
        field="image",
        reason=f"{kind}_unknown",
    )


def read_files(jobs: Jobs, spec: JobSpec) -> dict[str, bytes]:
    """Return the job's input files by name.

    Raise `JobNotFound` if the job was erased, `OptionInvalid` if only its files were, because they belonged to an identity, and
    `RecordDamaged` if a file is missing or is not the accepted one any more.
    """
    return {name: _read_file(jobs, spec, name, file) for name, file in spec.inputs.items()}


def _read_file(jobs: Jobs, spec: JobSpec, name: str, file: InputFile) -> bytes:
    try:
        data = jobs.artifacts.get(file.key)
    except ArtifactMissing:
        if not jobs.exists(spec.owner, spec.id):
            raise JobNotFound(spec.id) from None
        if not file.key.startswith(edit_key(spec.owner, spec.id, "")):
            raise identity_erased() from None
        raise damaged(name, "it is missing") from None
    if digest(data) != file.sha256:
        raise damaged(name, "it is not the one that was accepted")
    return data


def engine_inputs(jobs: Jobs, spec: JobSpec, files: Mapping[str, bytes]) -> EditInputs:
    """Return the engine's inputs: `files` and the concepts of the attributes.

    Raise `OptionInvalid` if an attribute was erased, `RecordDamaged` or `RecordNewer`.
    """
    attribute_ids = spec.request.attributes if isinstance(spec.request, EditRequest) else ()
    attributes = tuple(_attribute(jobs, spec, attribute_id) for attribute_id in attribute_ids)
    modes = {f"{name}_mode": spec.inputs[name].mask_mode for name in MASKS if name in files}
    return EditInputs(image=files["image"], mask=files["mask"], edit_mask=files.get("edit_mask"), attributes=attributes, **modes)


def _attribute(jobs: Jobs, spec: JobSpec, attribute_id: str) -> bytes:
    try:
        concept = jobs.artifacts.get(concept_key(spec.owner, attribute_id, CONCEPT))
        check_stored_concept(concept)
        return concept
    except ArtifactMissing:
        raise attribute_erased(attribute_id) from None
