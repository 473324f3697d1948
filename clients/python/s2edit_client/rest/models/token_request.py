from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.token_request_scopes_type_0_item import TokenRequestScopesType0Item
from ..types import UNSET, Unset

T = TypeVar("T", bound="TokenRequest")


@_attrs_define
class TokenRequest:
    """What a device shall be able to do.

    Attributes:
        expires_in_s (int | Unset): Seconds until it ends; cut to what the service allows Default: 600.
        edits (int | Unset): How many edits it may ask for Default: 1.
        uploads (int | Unset): How many uploads it may begin Default: 3.
        scopes (list[TokenRequestScopesType0Item] | None | Unset): What it is for. Left out: whatever the key may of
            these
    """

    expires_in_s: int | Unset = 600
    edits: int | Unset = 1
    uploads: int | Unset = 3
    scopes: list[TokenRequestScopesType0Item] | None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        expires_in_s = self.expires_in_s

        edits = self.edits

        uploads = self.uploads

        scopes: list[str] | None | Unset
        if isinstance(self.scopes, Unset):
            scopes = UNSET
        elif isinstance(self.scopes, list):
            scopes = []
            for scopes_type_0_item_data in self.scopes:
                scopes_type_0_item = scopes_type_0_item_data.value
                scopes.append(scopes_type_0_item)

        else:
            scopes = self.scopes

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if expires_in_s is not UNSET:
            field_dict["expires_in_s"] = expires_in_s
        if edits is not UNSET:
            field_dict["edits"] = edits
        if uploads is not UNSET:
            field_dict["uploads"] = uploads
        if scopes is not UNSET:
            field_dict["scopes"] = scopes

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        expires_in_s = d.pop("expires_in_s", UNSET)

        edits = d.pop("edits", UNSET)

        uploads = d.pop("uploads", UNSET)

        def _parse_scopes(data: object) -> list[TokenRequestScopesType0Item] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                scopes_type_0 = []
                _scopes_type_0 = data
                for scopes_type_0_item_data in _scopes_type_0:
                    scopes_type_0_item = TokenRequestScopesType0Item(scopes_type_0_item_data)

                    scopes_type_0.append(scopes_type_0_item)

                return scopes_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[TokenRequestScopesType0Item] | None | Unset, data)

        scopes = _parse_scopes(d.pop("scopes", UNSET))

        token_request = cls(
            expires_in_s=expires_in_s,
            edits=edits,
            uploads=uploads,
            scopes=scopes,
        )

        return token_request
