from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.post_form_fields import PostFormFields


T = TypeVar("T", bound="PostForm")


@_attrs_define
class PostForm:
    """`POST` a `multipart/form-data` form to `url`: these fields, then the bytes as the part `file`.

    Attributes:
        url (str):
        fields (PostFormFields):
    """

    url: str
    fields: PostFormFields
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        url = self.url

        fields = self.fields.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "url": url,
                "fields": fields,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.post_form_fields import PostFormFields  # noqa: PLC0415

        d = dict(src_dict)
        url = d.pop("url")

        fields = PostFormFields.from_dict(d.pop("fields"))

        post_form = cls(
            url=url,
            fields=fields,
        )

        post_form.additional_properties = d
        return post_form

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
