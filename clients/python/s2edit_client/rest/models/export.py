from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import (
    Any,
    Literal,
    TypeVar,
    cast,
)

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="Export")


@_attrs_define
class Export:
    """The identity's file, for another service that has the same model. `sha256` is of its bytes, in hexadecimal.

    Attributes:
        url (str):
        expires_at (datetime.datetime):
        identity (str):
        sha256 (str):
        size_bytes (int):
        source_prompt (None | str):
        subject (None | str):
        format_ (Literal['safetensors'] | Unset):  Default: 'safetensors'.
    """

    url: str
    expires_at: datetime.datetime
    identity: str
    sha256: str
    size_bytes: int
    source_prompt: None | str
    subject: None | str
    format_: Literal["safetensors"] | Unset = "safetensors"
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        url = self.url

        expires_at = self.expires_at.isoformat()

        identity = self.identity

        sha256 = self.sha256

        size_bytes = self.size_bytes

        source_prompt: None | str
        source_prompt = self.source_prompt

        subject: None | str
        subject = self.subject

        format_ = self.format_

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "url": url,
                "expires_at": expires_at,
                "identity": identity,
                "sha256": sha256,
                "size_bytes": size_bytes,
                "source_prompt": source_prompt,
                "subject": subject,
            }
        )
        if format_ is not UNSET:
            field_dict["format"] = format_

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        url = d.pop("url")

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        identity = d.pop("identity")

        sha256 = d.pop("sha256")

        size_bytes = d.pop("size_bytes")

        def _parse_source_prompt(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        source_prompt = _parse_source_prompt(d.pop("source_prompt"))

        def _parse_subject(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        subject = _parse_subject(d.pop("subject"))

        format_ = cast(Literal["safetensors"] | Unset, d.pop("format", UNSET))
        if format_ != "safetensors" and not isinstance(format_, Unset):
            raise ValueError(f"format must match const 'safetensors', got '{format_}'")

        export = cls(
            url=url,
            expires_at=expires_at,
            identity=identity,
            sha256=sha256,
            size_bytes=size_bytes,
            source_prompt=source_prompt,
            subject=subject,
            format_=format_,
        )

        export.additional_properties = d
        return export

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
