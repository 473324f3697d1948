from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.upload_view_state import UploadViewState

if TYPE_CHECKING:
    from ..models.post_form import PostForm
    from ..models.put_request import PutRequest


T = TypeVar("T", bound="UploadView")


@_attrs_define
class UploadView:
    """An upload. `put` and `form` are two ways to send its bytes, null once these have come.

    Attributes:
        id (str):
        state (UploadViewState): Whether the bytes have come
        media_type (str):
        size_bytes (int):
        sha256 (None | str):
        created_at (datetime.datetime):
        expires_at (datetime.datetime | None): When `put` and `form` run out; ask again for fresh ones
        put (None | PutRequest):
        form (None | PostForm): Null where the store does not hold senders of forms to their limits
    """

    id: str
    state: UploadViewState
    media_type: str
    size_bytes: int
    sha256: None | str
    created_at: datetime.datetime
    expires_at: datetime.datetime | None
    put: None | PutRequest
    form: None | PostForm
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.post_form import PostForm  # noqa: PLC0415
        from ..models.put_request import PutRequest  # noqa: PLC0415

        id = self.id

        state = self.state.value

        media_type = self.media_type

        size_bytes = self.size_bytes

        sha256: None | str
        sha256 = self.sha256

        created_at = self.created_at.isoformat()

        expires_at: None | str
        if isinstance(self.expires_at, datetime.datetime):
            expires_at = self.expires_at.isoformat()
        else:
            expires_at = self.expires_at

        put: dict[str, Any] | None
        if isinstance(self.put, PutRequest):
            put = self.put.to_dict()
        else:
            put = self.put

        form: dict[str, Any] | None
        if isinstance(self.form, PostForm):
            form = self.form.to_dict()
        else:
            form = self.form

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "state": state,
                "media_type": media_type,
                "size_bytes": size_bytes,
                "sha256": sha256,
                "created_at": created_at,
                "expires_at": expires_at,
                "put": put,
                "form": form,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.post_form import PostForm  # noqa: PLC0415
        from ..models.put_request import PutRequest  # noqa: PLC0415

        d = dict(src_dict)
        id = d.pop("id")

        state = UploadViewState(d.pop("state"))

        media_type = d.pop("media_type")

        size_bytes = d.pop("size_bytes")

        def _parse_sha256(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        sha256 = _parse_sha256(d.pop("sha256"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_expires_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                expires_at_type_0 = datetime.datetime.fromisoformat(data)

                return expires_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        expires_at = _parse_expires_at(d.pop("expires_at"))

        def _parse_put(data: object) -> None | PutRequest:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                put_type_0 = PutRequest.from_dict(data)

                return put_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | PutRequest, data)

        put = _parse_put(d.pop("put"))

        def _parse_form(data: object) -> None | PostForm:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                form_type_0 = PostForm.from_dict(data)

                return form_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | PostForm, data)

        form = _parse_form(d.pop("form"))

        upload_view = cls(
            id=id,
            state=state,
            media_type=media_type,
            size_bytes=size_bytes,
            sha256=sha256,
            created_at=created_at,
            expires_at=expires_at,
            put=put,
            form=form,
        )

        upload_view.additional_properties = d
        return upload_view

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
