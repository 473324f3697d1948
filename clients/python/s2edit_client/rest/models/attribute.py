from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="Attribute")


@_attrs_define
class Attribute:
    """What may be put on anybody: edits name it in `attributes` and write its `placeholder` in their prompt.

    Attributes:
        id (str):
        name (None | str):
        placeholder (str):
        subject (str): The word that stands after the placeholder
        prompt (str): What it was learned with
        created_at (datetime.datetime):
    """

    id: str
    name: None | str
    placeholder: str
    subject: str
    prompt: str
    created_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        name: None | str
        name = self.name

        placeholder = self.placeholder

        subject = self.subject

        prompt = self.prompt

        created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "placeholder": placeholder,
                "subject": subject,
                "prompt": prompt,
                "created_at": created_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        def _parse_name(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        name = _parse_name(d.pop("name"))

        placeholder = d.pop("placeholder")

        subject = d.pop("subject")

        prompt = d.pop("prompt")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        attribute = cls(
            id=id,
            name=name,
            placeholder=placeholder,
            subject=subject,
            prompt=prompt,
            created_at=created_at,
        )

        attribute.additional_properties = d
        return attribute

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
