from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.upload_request_media_type import UploadRequestMediaType
from ..types import UNSET, Unset

T = TypeVar("T", bound="UploadRequest")


@_attrs_define
class UploadRequest:
    """A file that shall be sent.

    Attributes:
        media_type (UploadRequestMediaType): What it is; its first bytes must agree
        size_bytes (int): Its exact length
        sha256 (None | str | Unset): Its SHA-256 digest in hexadecimal. If given, other bytes are refused where the
            upload is used
    """

    media_type: UploadRequestMediaType
    size_bytes: int
    sha256: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        media_type = self.media_type.value

        size_bytes = self.size_bytes

        sha256: None | str | Unset
        if isinstance(self.sha256, Unset):
            sha256 = UNSET
        else:
            sha256 = self.sha256

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "media_type": media_type,
                "size_bytes": size_bytes,
            }
        )
        if sha256 is not UNSET:
            field_dict["sha256"] = sha256

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        media_type = UploadRequestMediaType(d.pop("media_type"))

        size_bytes = d.pop("size_bytes")

        def _parse_sha256(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        sha256 = _parse_sha256(d.pop("sha256", UNSET))

        upload_request = cls(
            media_type=media_type,
            size_bytes=size_bytes,
            sha256=sha256,
        )

        return upload_request
