"""Read what is stored. Stored records outlive releases, so this reader is tolerant. Requests have a strict validator of their own.

The rules:

- A record is a JSON object with an integer `version`; without it, the version is 1. `VERSIONS` holds what this release knows.
- A reader ignores fields that it does not know. So raise the version of a kind, and write it into its records, only when a reader
  that ignores a new field would do the wrong thing. Writers leave out version 1, because earlier releases reject the field.
- A record of a newer version is `RecordNewer`: leave it to a process that knows the version. So is a value of an enumeration, or an
  option of a request, that this release does not know: ignoring it would make another picture than the one asked for.
- Everything else that cannot be read is `RecordDamaged`: cut short, empty, not JSON, of the wrong types, or a foreign file.

What is stored, by kind ("t/…/" stands for the prefix of a user). ARCHITECTURE.md says of the main kinds who writes them and when
they are removed, and the module in the last column of the others:

| kind                  | object                                    | read by                              |
|-----------------------|-------------------------------------------|--------------------------------------|
| spec                  | `t/…/edits/<id>/spec.json`                | `JobSpec.from_json`                  |
| outcome               | `t/…/edits/<id>/outcome.json`             | `Outcome.from_json`                  |
| found mask            | `t/…/edits/<id>/mask-found.json`          | `worker.attempts.job_mask`          |
| report                | `t/…/edits/<id>/report-<fence>.json`      | `Jobs.report`                        |
| (by its name)         | `t/…/edits/<id>/cancellation.json`        | `Jobs.recall_cancellation`           |
| (for people)          | `t/…/edits/<id>/webhook.json`             | `worker.housekeeping.messenger` writes it |
| identity, attribute   | `t/…/concepts/<id>/identity.json` …       | `Library`                            |
| upload, bare upload   | `t/…/uploads/<id>/upload.json` …          | `Uploads`                            |
| idempotency marker    | `t/…/requests/<digest>.json`              | `RequestMarkers`                     |
| erased keys           | `erased/<digest>`                         | `RequestMarkers`                     |
| key                   | `keys/<id>/key.json`                      | `KeyRing`                            |
| model report, failure | `models/<digest>.json` …                  | `model_facts`                        |
| erasure               | `erasing/<digest>`                        | `Erasure.resume`                     |
| (a number)            | `keys/<id>/ended.json`, `ended/<digest>`, `t/…/uploads/<id>/kept.json` | `read_number`   |
| erased concept        | `t/…/erased/<id>`                         | `library.erased_concepts`            |
| (a key)               | `unfinished/…`, `outbox/…`, `pending/…`, `expiring/…` | `stores.markers`         |
| (by its name)         | `t/…/index/…`; for failures the content   | `jobs.history`                       |
| (by its name)         | `t/…/tokens/<end>-<id>/…`                 | `api.guard.device_tokens`            |
| (by its name)         | `t/…/concepts/<id>/inversions/<id>`       | `library.last_use`                   |
| (by its name)         | `t/…/concepts/<id>/used-<time>` …         | `library.last_use`                   |
| (by its name, a key)  | `t/…/concepts/<id>/learning-<job id>`     | `lifecycle.learnings`                |
| (safetensors)         | concepts, inversions, checkpoints         | the engine; `library.concept_files`  |
| store marker          | `s2edit-store.json`                       | `stores.object_store.presence`       |
| layout                | `layout.json`                             | `stores.object_store.layout`         |
| (only written)        | `probes/…`                                | `stores.object_store.write_probe`, `cli.checks.store_checks` |

Redis holds job hashes and events (`redis_store.hashes` reads them field by field) and Celery's messages, whose content does not
matter: a message only says that work exists.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from s2edit_jobs.records.errors import RecordDamaged, RecordNewer

Kind = Literal[
    "spec",
    "outcome",
    "found mask",
    "report",
    "identity",
    "attribute",
    "upload",
    "bare upload",
    "idempotency marker",
    "erased keys",
    "erased concept",
    "key",
    "model report",
    "model failure",
    "erasure",
]
VERSIONS: dict[Kind, int] = {
    "spec": 1,
    "outcome": 1,
    "found mask": 1,
    "report": 1,
    "identity": 1,
    "attribute": 1,
    "upload": 1,
    "bare upload": 1,
    "idempotency marker": 2,  # 2: what the key has led to was erased
    "erased keys": 1,
    "erased concept": 2,  # 2: it names jobs. Version 1 was a number, the time
    "key": 1,
    "model report": 1,
    "model failure": 1,
    "erasure": 1,
}
"""The newest version of each kind that this release reads and writes."""
Record = TypeVar("Record")
_IN_WORDS = {"spec": "request", "outcome": "end of the edit", "concept": "identity or attribute", "image": "photo"}
"""What users call a record."""
_UNKNOWN_VALUE = ("literal_error", "enum")
_STRICT = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


def read_record(kind: Kind, shape: type[Record], data: bytes) -> Record:
    """Return the record in `data`, an instance of the dataclass `shape`. Raise `RecordDamaged` or `RecordNewer`."""
    return shape(**checked_fields(kind, shape, read_values(kind, data)))


def read_values(kind: Kind, data: bytes) -> dict[str, Any]:
    """Return the fields of a record, with only their version checked. Raise as `read_record`."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        raise damaged(kind, "it is not JSON") from None
    if not isinstance(values, dict):
        raise damaged(kind, "it is not a JSON object")
    version = values.get("version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise damaged(kind, "its version is not a number")
    if version > VERSIONS[kind]:
        raise RecordNewer(f"the stored {kind} has version {version}, and this release knows {VERSIONS[kind]}")
    return values


def checked_fields(kind: Kind, shape: Any, values: Mapping[str, Any], *, without: str = "") -> dict[str, Any]:
    """Return the fields of the dataclass `shape` that `values` holds, converted to their types. Raise as `read_record`.

    `without` names a field that the caller reads itself.
    """
    try:
        model = _model(shape, without).model_validate_json(json.dumps(values))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        where = ".".join(map(str, faults[0]["loc"])) or "a value"  # a value may be private, so messages never contain one
        if all(fault["type"] in _UNKNOWN_VALUE and isinstance(fault["input"], str) for fault in faults):
            raise RecordNewer(f"the stored {kind} has a value of {where} that this release does not know") from None
        raise damaged(kind, f"{where} is missing or unusable") from None
    except (ValueError, RecursionError):
        raise damaged(kind, "a value cannot be read") from None
    return {name: getattr(model, name) for name in type(model).model_fields}


def readable_fields(shape: Any, data: bytes) -> dict[str, Any]:
    """Return those fields of a record that can be read, whatever its version and however damaged the others are."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    read: dict[str, Any] = {}
    for name, value in values.items() if isinstance(values, dict) else ():
        with suppress(ValueError, RecursionError):
            model = _lenient_model(shape).model_validate_json(json.dumps({name: value}))
            read |= {known: getattr(model, known) for known in model.model_fields_set}
    return read


def read_number(data: bytes, what: str) -> float:
    """Return the number that a marker holds. Raise `RecordDamaged`, or `RecordNewer` for an object with a version."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise damaged(what, "it is not JSON") from None
    if isinstance(value, dict) and isinstance(value.get("version"), int):
        raise RecordNewer(f"the stored {what} is an object of version {value['version']}, and this release knows numbers")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e15:
        raise damaged(what, "it is not a number")
    return float(value)


def damaged(what: str, why: str) -> RecordDamaged:
    """Return the error for a record that can't be read. Its message may reach the user."""
    return RecordDamaged(f"the stored {_IN_WORDS.get(what, what)} is damaged: {why}")


@cache
def _model(shape: Any, without: str) -> type[BaseModel]:
    """Return a model with the fields of the dataclass `shape`. Unlike the dataclass itself, it runs no `__post_init__`."""
    hints = get_type_hints(shape, include_extras=True)
    described: dict[str, Any] = {field.name: (hints[field.name], _default(field)) for field in fields(shape)}
    described.pop(without, None)
    return create_model(shape.__name__, __config__=_STRICT, **described)


@cache
def _lenient_model(shape: Any) -> type[BaseModel]:
    """Return a model in which each field of the dataclass `shape` may be missing."""
    hints = get_type_hints(shape, include_extras=True)
    described: dict[str, Any] = {field.name: (hints[field.name], None) for field in fields(shape)}
    return create_model(shape.__name__, __config__=_STRICT, **described)


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return ... if field.default is MISSING else field.default
