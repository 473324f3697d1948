from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.edit_kind import EditKind
from ..models.edit_phase_type_0 import EditPhaseType0
from ..models.job_state import JobState

if TYPE_CHECKING:
    from ..models.edit_error import EditError
    from ..models.link import Link
    from ..models.picture import Picture
    from ..models.progress_view import ProgressView
    from ..models.report import Report


T = TypeVar("T", bound="Edit")


@_attrs_define
class Edit:
    """Where an edit stands. `sequence` grows with every change and is the `ETag`.

    Attributes:
        id (str):
        kind (EditKind): `identity` and `attribute`: a learning alone, `mask`: the search for a person; they end without
            a result
        state (JobState): How a job stands; the last three are ends.
        phase (EditPhaseType0 | None):
        progress (None | ProgressView):
        created_at (datetime.datetime):
        updated_at (datetime.datetime):
        sequence (int):
        cancel_requested (bool):
        deadline_at (datetime.datetime | None): When the edit is given up if it is not done
        eta_s (float | None): Seconds until it is done, by what edits like it took; null where that is not known, or
            over
        identity (None | str): The identity that was learned or used; later edits may name it
        attribute (None | str): The attribute that was learned
        parent (None | str): The edit whose result this one started from
        test (bool): Whether it was asked for with a test key: then no model has drawn the result
        result (None | Picture): The edited photo, once the state is `succeeded`
        results (list[Picture]): `result` and its variants, in order; empty before
        mask (Link | None): The mask that was used, as it was sent or found, once the state is `succeeded`; the report
            says which
        report (None | Report):
        error (EditError | None): Once the state is `failed`
    """

    id: str
    kind: EditKind
    state: JobState
    phase: EditPhaseType0 | None
    progress: None | ProgressView
    created_at: datetime.datetime
    updated_at: datetime.datetime
    sequence: int
    cancel_requested: bool
    deadline_at: datetime.datetime | None
    eta_s: float | None
    identity: None | str
    attribute: None | str
    parent: None | str
    test: bool
    result: None | Picture
    results: list[Picture]
    mask: Link | None
    report: None | Report
    error: EditError | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.edit_error import EditError  # noqa: PLC0415
        from ..models.link import Link  # noqa: PLC0415
        from ..models.picture import Picture  # noqa: PLC0415
        from ..models.progress_view import ProgressView  # noqa: PLC0415
        from ..models.report import Report  # noqa: PLC0415

        id = self.id

        kind = self.kind.value

        state = self.state.value

        phase: None | str
        if isinstance(self.phase, EditPhaseType0):
            phase = self.phase.value
        else:
            phase = self.phase

        progress: dict[str, Any] | None
        if isinstance(self.progress, ProgressView):
            progress = self.progress.to_dict()
        else:
            progress = self.progress

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        sequence = self.sequence

        cancel_requested = self.cancel_requested

        deadline_at: None | str
        if isinstance(self.deadline_at, datetime.datetime):
            deadline_at = self.deadline_at.isoformat()
        else:
            deadline_at = self.deadline_at

        eta_s: float | None
        eta_s = self.eta_s

        identity: None | str
        identity = self.identity

        attribute: None | str
        attribute = self.attribute

        parent: None | str
        parent = self.parent

        test = self.test

        result: dict[str, Any] | None
        if isinstance(self.result, Picture):
            result = self.result.to_dict()
        else:
            result = self.result

        results = []
        for results_item_data in self.results:
            results_item = results_item_data.to_dict()
            results.append(results_item)

        mask: dict[str, Any] | None
        if isinstance(self.mask, Link):
            mask = self.mask.to_dict()
        else:
            mask = self.mask

        report: dict[str, Any] | None
        if isinstance(self.report, Report):
            report = self.report.to_dict()
        else:
            report = self.report

        error: dict[str, Any] | None
        if isinstance(self.error, EditError):
            error = self.error.to_dict()
        else:
            error = self.error

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "kind": kind,
                "state": state,
                "phase": phase,
                "progress": progress,
                "created_at": created_at,
                "updated_at": updated_at,
                "sequence": sequence,
                "cancel_requested": cancel_requested,
                "deadline_at": deadline_at,
                "eta_s": eta_s,
                "identity": identity,
                "attribute": attribute,
                "parent": parent,
                "test": test,
                "result": result,
                "results": results,
                "mask": mask,
                "report": report,
                "error": error,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.edit_error import EditError  # noqa: PLC0415
        from ..models.link import Link  # noqa: PLC0415
        from ..models.picture import Picture  # noqa: PLC0415
        from ..models.progress_view import ProgressView  # noqa: PLC0415
        from ..models.report import Report  # noqa: PLC0415

        d = dict(src_dict)
        id = d.pop("id")

        kind = EditKind(d.pop("kind"))

        state = JobState(d.pop("state"))

        def _parse_phase(data: object) -> EditPhaseType0 | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                phase_type_0 = EditPhaseType0(data)

                return phase_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(EditPhaseType0 | None, data)

        phase = _parse_phase(d.pop("phase"))

        def _parse_progress(data: object) -> None | ProgressView:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                progress_type_0 = ProgressView.from_dict(data)

                return progress_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | ProgressView, data)

        progress = _parse_progress(d.pop("progress"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        sequence = d.pop("sequence")

        cancel_requested = d.pop("cancel_requested")

        def _parse_deadline_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                deadline_at_type_0 = datetime.datetime.fromisoformat(data)

                return deadline_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        deadline_at = _parse_deadline_at(d.pop("deadline_at"))

        def _parse_eta_s(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        eta_s = _parse_eta_s(d.pop("eta_s"))

        def _parse_identity(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        identity = _parse_identity(d.pop("identity"))

        def _parse_attribute(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        attribute = _parse_attribute(d.pop("attribute"))

        def _parse_parent(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        parent = _parse_parent(d.pop("parent"))

        test = d.pop("test")

        def _parse_result(data: object) -> None | Picture:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                result_type_0 = Picture.from_dict(data)

                return result_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Picture, data)

        result = _parse_result(d.pop("result"))

        results = []
        _results = d.pop("results")
        for results_item_data in _results:
            results_item = Picture.from_dict(results_item_data)

            results.append(results_item)

        def _parse_mask(data: object) -> Link | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                mask_type_0 = Link.from_dict(data)

                return mask_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Link | None, data)

        mask = _parse_mask(d.pop("mask"))

        def _parse_report(data: object) -> None | Report:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                report_type_0 = Report.from_dict(data)

                return report_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Report, data)

        report = _parse_report(d.pop("report"))

        def _parse_error(data: object) -> EditError | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                error_type_0 = EditError.from_dict(data)

                return error_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(EditError | None, data)

        error = _parse_error(d.pop("error"))

        edit = cls(
            id=id,
            kind=kind,
            state=state,
            phase=phase,
            progress=progress,
            created_at=created_at,
            updated_at=updated_at,
            sequence=sequence,
            cancel_requested=cancel_requested,
            deadline_at=deadline_at,
            eta_s=eta_s,
            identity=identity,
            attribute=attribute,
            parent=parent,
            test=test,
            result=result,
            results=results,
            mask=mask,
            report=report,
            error=error,
        )

        edit.additional_properties = d
        return edit

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
