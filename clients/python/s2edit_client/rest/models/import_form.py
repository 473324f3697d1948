from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, TypeVar

from attrs import define as _attrs_define

from .. import types
from ..types import UNSET, File, FileTypes, Unset

T = TypeVar("T", bound="ImportForm")


@_attrs_define
class ImportForm:
    """The parts of `POST /identities/import`.

    Attributes:
        file (File | Unset): A file that an export has given: safetensors, nothing else
        consent (str | Unset): That the person agrees to this use of the identity, in your words; kept with it
        identity_ttl_s (float | Unset): Seconds after which the identity is erased
    """

    file: File | Unset = UNSET
    consent: str | Unset = UNSET
    identity_ttl_s: float | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        file: FileTypes | Unset = UNSET
        if not isinstance(self.file, Unset):
            file = self.file.to_tuple()

        consent = self.consent

        identity_ttl_s = self.identity_ttl_s

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if file is not UNSET:
            field_dict["file"] = file
        if consent is not UNSET:
            field_dict["consent"] = consent
        if identity_ttl_s is not UNSET:
            field_dict["identity_ttl_s"] = identity_ttl_s

        return field_dict

    def to_multipart(self) -> types.RequestFiles:
        files: types.RequestFiles = []

        if not isinstance(self.file, Unset):
            files.append(("file", self.file.to_tuple()))

        if not isinstance(self.consent, Unset):
            files.append(("consent", (None, str(self.consent).encode(), "text/plain")))

        if not isinstance(self.identity_ttl_s, Unset):
            files.append(("identity_ttl_s", (None, str(self.identity_ttl_s).encode(), "text/plain")))

        return files

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        _file = d.pop("file", UNSET)
        file: File | Unset
        if isinstance(_file, Unset):
            file = UNSET
        else:
            file = File(payload=BytesIO(_file))

        consent = d.pop("consent", UNSET)

        identity_ttl_s = d.pop("identity_ttl_s", UNSET)

        import_form = cls(
            file=file,
            consent=consent,
            identity_ttl_s=identity_ttl_s,
        )

        return import_form
