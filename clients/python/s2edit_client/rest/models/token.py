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

T = TypeVar("T", bound="Token")


@_attrs_define
class Token:
    """To be sent as `Authorization: Bearer <token>`, without `S2Edit-User`.

    Attributes:
        token (str):
        user (str):
        scopes (list[str]):
        edits (int):
        uploads (int):
        expires_at (datetime.datetime):
        token_type (Literal['Bearer'] | Unset):  Default: 'Bearer'.
    """

    token: str
    user: str
    scopes: list[str]
    edits: int
    uploads: int
    expires_at: datetime.datetime
    token_type: Literal["Bearer"] | Unset = "Bearer"
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        token = self.token

        user = self.user

        scopes = self.scopes

        edits = self.edits

        uploads = self.uploads

        expires_at = self.expires_at.isoformat()

        token_type = self.token_type

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "token": token,
                "user": user,
                "scopes": scopes,
                "edits": edits,
                "uploads": uploads,
                "expires_at": expires_at,
            }
        )
        if token_type is not UNSET:
            field_dict["token_type"] = token_type

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        token = d.pop("token")

        user = d.pop("user")

        scopes = cast(list[str], d.pop("scopes"))

        edits = d.pop("edits")

        uploads = d.pop("uploads")

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        token_type = cast(Literal["Bearer"] | Unset, d.pop("token_type", UNSET))
        if token_type != "Bearer" and not isinstance(token_type, Unset):
            raise ValueError(f"token_type must match const 'Bearer', got '{token_type}'")

        token = cls(
            token=token,
            user=user,
            scopes=scopes,
            edits=edits,
            uploads=uploads,
            expires_at=expires_at,
            token_type=token_type,
        )

        token.additional_properties = d
        return token

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
