from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.consent import Consent


T = TypeVar("T", bound="Identity")


@_attrs_define
class Identity:
    """A person as learned from one photo, mask and prompt.

    Attributes:
        id (str):
        source_prompt (None | str):
        subject (None | str):
        created_at (datetime.datetime):
        expires_at (datetime.datetime | None | Unset): When it is erased by itself
        consent (Consent | None | Unset): What was said of the person's consent
        has_photo (bool | Unset): False for one that was imported: edits with it send a photo Default: True.
    """

    id: str
    source_prompt: None | str
    subject: None | str
    created_at: datetime.datetime
    expires_at: datetime.datetime | None | Unset = UNSET
    consent: Consent | None | Unset = UNSET
    has_photo: bool | Unset = True
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.consent import Consent  # noqa: PLC0415

        id = self.id

        source_prompt: None | str
        source_prompt = self.source_prompt

        subject: None | str
        subject = self.subject

        created_at = self.created_at.isoformat()

        expires_at: None | str | Unset
        if isinstance(self.expires_at, Unset):
            expires_at = UNSET
        elif isinstance(self.expires_at, datetime.datetime):
            expires_at = self.expires_at.isoformat()
        else:
            expires_at = self.expires_at

        consent: dict[str, Any] | None | Unset
        if isinstance(self.consent, Unset):
            consent = UNSET
        elif isinstance(self.consent, Consent):
            consent = self.consent.to_dict()
        else:
            consent = self.consent

        has_photo = self.has_photo

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "source_prompt": source_prompt,
                "subject": subject,
                "created_at": created_at,
            }
        )
        if expires_at is not UNSET:
            field_dict["expires_at"] = expires_at
        if consent is not UNSET:
            field_dict["consent"] = consent
        if has_photo is not UNSET:
            field_dict["has_photo"] = has_photo

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.consent import Consent  # noqa: PLC0415

        d = dict(src_dict)
        id = d.pop("id")

        def _parse_source_prompt(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        source_prompt = _parse_source_prompt(d.pop("source_prompt"))

        def _parse_subject(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        subject = _parse_subject(d.pop("subject"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_expires_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                expires_at_type_0 = datetime.datetime.fromisoformat(data)

                return expires_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        expires_at = _parse_expires_at(d.pop("expires_at", UNSET))

        def _parse_consent(data: object) -> Consent | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                consent_type_0 = Consent.from_dict(data)

                return consent_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Consent | None | Unset, data)

        consent = _parse_consent(d.pop("consent", UNSET))

        has_photo = d.pop("has_photo", UNSET)

        identity = cls(
            id=id,
            source_prompt=source_prompt,
            subject=subject,
            created_at=created_at,
            expires_at=expires_at,
            consent=consent,
            has_photo=has_photo,
        )

        identity.additional_properties = d
        return identity

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
