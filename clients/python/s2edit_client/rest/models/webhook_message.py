from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

if TYPE_CHECKING:
    from ..models.webhook_data import WebhookData


T = TypeVar("T", bound="WebhookMessage")


@_attrs_define
class WebhookMessage:
    """The body, as the Standard Webhooks specification wants it.

    Attributes:
        type_ (str):
        timestamp (datetime.datetime): When it ended
        data (WebhookData): How the job ended. There are no links in it: ask for the edit.
    """

    type_: str
    timestamp: datetime.datetime
    data: WebhookData

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_

        timestamp = self.timestamp.isoformat()

        data = self.data.to_dict()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "type": type_,
                "timestamp": timestamp,
                "data": data,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.webhook_data import WebhookData  # noqa: PLC0415

        d = dict(src_dict)
        type_ = d.pop("type")

        timestamp = datetime.datetime.fromisoformat(d.pop("timestamp"))

        data = WebhookData.from_dict(d.pop("data"))

        webhook_message = cls(
            type_=type_,
            timestamp=timestamp,
            data=data,
        )

        return webhook_message
