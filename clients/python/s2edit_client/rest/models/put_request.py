from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.put_request_headers import PutRequestHeaders


T = TypeVar("T", bound="PutRequest")


@_attrs_define
class PutRequest:
    """`PUT` the bytes to `url` with just these headers. It works once; a second time is 412.

    Attributes:
        url (str):
        headers (PutRequestHeaders): Browsers and HTTP libraries set `Content-Length` by themselves
    """

    url: str
    headers: PutRequestHeaders
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        url = self.url

        headers = self.headers.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "url": url,
                "headers": headers,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.put_request_headers import PutRequestHeaders  # noqa: PLC0415

        d = dict(src_dict)
        url = d.pop("url")

        headers = PutRequestHeaders.from_dict(d.pop("headers"))

        put_request = cls(
            url=url,
            headers=headers,
        )

        put_request.additional_properties = d
        return put_request

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
