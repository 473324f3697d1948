from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.stream_edit_response_200_type_0_event import (
    StreamEditResponse200Type0Event,
)
from ..types import UNSET, Unset

T = TypeVar("T", bound="StreamEditResponse200Type0")


@_attrs_define
class StreamEditResponse200Type0:
    """Each event; as a whole it is text

    Attributes:
        event (StreamEditResponse200Type0Event | Unset):
        id (str | Unset): The sequence
        data (str | Unset):
    """

    event: StreamEditResponse200Type0Event | Unset = UNSET
    id: str | Unset = UNSET
    data: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        event: str | Unset = UNSET
        if not isinstance(self.event, Unset):
            event = self.event.value

        id = self.id

        data = self.data

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if event is not UNSET:
            field_dict["event"] = event
        if id is not UNSET:
            field_dict["id"] = id
        if data is not UNSET:
            field_dict["data"] = data

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        _event = d.pop("event", UNSET)
        event: StreamEditResponse200Type0Event | Unset
        if isinstance(_event, Unset):
            event = UNSET
        else:
            event = StreamEditResponse200Type0Event(_event)

        id = d.pop("id", UNSET)

        data = d.pop("data", UNSET)

        stream_edit_response_200_type_0 = cls(
            event=event,
            id=id,
            data=data,
        )

        stream_edit_response_200_type_0.additional_properties = d
        return stream_edit_response_200_type_0

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
