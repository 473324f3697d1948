from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.receipt_erased import ReceiptErased

T = TypeVar("T", bound="Receipt")


@_attrs_define
class Receipt:
    """That it was erased. `receipt` says the same as a signed JWT (ES256), for whoever wants proof; keys: `GET
    /receipts/keys`.

        Attributes:
            erased (ReceiptErased):
            id (str):
            objects (int): How many stored objects were deleted
            erased_at (datetime.datetime):
            receipt (str):
    """

    erased: ReceiptErased
    id: str
    objects: int
    erased_at: datetime.datetime
    receipt: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        erased = self.erased.value

        id = self.id

        objects = self.objects

        erased_at = self.erased_at.isoformat()

        receipt = self.receipt

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "erased": erased,
                "id": id,
                "objects": objects,
                "erased_at": erased_at,
                "receipt": receipt,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        erased = ReceiptErased(d.pop("erased"))

        id = d.pop("id")

        objects = d.pop("objects")

        erased_at = datetime.datetime.fromisoformat(d.pop("erased_at"))

        receipt = d.pop("receipt")

        receipt = cls(
            erased=erased,
            id=id,
            objects=objects,
            erased_at=erased_at,
            receipt=receipt,
        )

        receipt.additional_properties = d
        return receipt

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
