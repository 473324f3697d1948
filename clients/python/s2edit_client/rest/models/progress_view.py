from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.progress_view_phase import ProgressViewPhase

T = TypeVar("T", bound="ProgressView")


@_attrs_define
class ProgressView:
    """How far the current phase is: `step` of `total`; `fraction` is their quotient, 0 to 1.

    Attributes:
        phase (ProgressViewPhase):
        step (int):
        total (int):
        fraction (float):
    """

    phase: ProgressViewPhase
    step: int
    total: int
    fraction: float
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        phase = self.phase.value

        step = self.step

        total = self.total

        fraction = self.fraction

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "phase": phase,
                "step": step,
                "total": total,
                "fraction": fraction,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        phase = ProgressViewPhase(d.pop("phase"))

        step = d.pop("step")

        total = d.pop("total")

        fraction = d.pop("fraction")

        progress_view = cls(
            phase=phase,
            step=step,
            total=total,
            fraction=fraction,
        )

        progress_view.additional_properties = d
        return progress_view

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
