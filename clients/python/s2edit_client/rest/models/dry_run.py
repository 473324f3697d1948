from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.dry_run_learning import DryRunLearning

T = TypeVar("T", bound="DryRun")


@_attrs_define
class DryRun:
    """What the same form without `dry_run` would do. Nothing was kept, and nothing is promised.

    Attributes:
        learning (DryRunLearning): `known`: the identity is there already. `unknown`: no worker has said yet which model
            it has, or a worker must find the mask or describe the photo first
        identity (None | str): The id that the identity has, or would have; null while that is unknown
        eta_s (float | None): Seconds until it would be done, by what edits took so far, at most; null while that is not
            known
    """

    learning: DryRunLearning
    identity: None | str
    eta_s: float | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        learning = self.learning.value

        identity: None | str
        identity = self.identity

        eta_s: float | None
        eta_s = self.eta_s

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "learning": learning,
                "identity": identity,
                "eta_s": eta_s,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        learning = DryRunLearning(d.pop("learning"))

        def _parse_identity(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        identity = _parse_identity(d.pop("identity"))

        def _parse_eta_s(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        eta_s = _parse_eta_s(d.pop("eta_s"))

        dry_run = cls(
            learning=learning,
            identity=identity,
            eta_s=eta_s,
        )

        dry_run.additional_properties = d
        return dry_run

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
