from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.webhook_data_state import WebhookDataState
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.edit_error import EditError


T = TypeVar("T", bound="WebhookData")


@_attrs_define
class WebhookData:
    """How the job ended. There are no links in it: ask for the edit.

    Attributes:
        id (str):
        state (WebhookDataState):
        identity (None | str | Unset): That was learned or used; absent where an attribute was learned or a mask found
        attribute (None | str | Unset): That was learned; absent otherwise
        test (bool | Unset): True for what was asked for with a test key; absent otherwise Default: False.
        error (EditError | None | Unset): Absent unless the state is `failed`
    """

    id: str
    state: WebhookDataState
    identity: None | str | Unset = UNSET
    attribute: None | str | Unset = UNSET
    test: bool | Unset = False
    error: EditError | None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        from ..models.edit_error import EditError  # noqa: PLC0415

        id = self.id

        state = self.state.value

        identity: None | str | Unset
        if isinstance(self.identity, Unset):
            identity = UNSET
        else:
            identity = self.identity

        attribute: None | str | Unset
        if isinstance(self.attribute, Unset):
            attribute = UNSET
        else:
            attribute = self.attribute

        test = self.test

        error: dict[str, Any] | None | Unset
        if isinstance(self.error, Unset):
            error = UNSET
        elif isinstance(self.error, EditError):
            error = self.error.to_dict()
        else:
            error = self.error

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "id": id,
                "state": state,
            }
        )
        if identity is not UNSET:
            field_dict["identity"] = identity
        if attribute is not UNSET:
            field_dict["attribute"] = attribute
        if test is not UNSET:
            field_dict["test"] = test
        if error is not UNSET:
            field_dict["error"] = error

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.edit_error import EditError  # noqa: PLC0415

        d = dict(src_dict)
        id = d.pop("id")

        state = WebhookDataState(d.pop("state"))

        def _parse_identity(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        identity = _parse_identity(d.pop("identity", UNSET))

        def _parse_attribute(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        attribute = _parse_attribute(d.pop("attribute", UNSET))

        test = d.pop("test", UNSET)

        def _parse_error(data: object) -> EditError | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                error_type_0 = EditError.from_dict(data)

                return error_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(EditError | None | Unset, data)

        error = _parse_error(d.pop("error", UNSET))

        webhook_data = cls(
            id=id,
            state=state,
            identity=identity,
            attribute=attribute,
            test=test,
            error=error,
        )

        return webhook_data
