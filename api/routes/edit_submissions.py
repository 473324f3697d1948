"""Accepting an edit."""

from __future__ import annotations

from collections.abc import Mapping

from api.routes.submissions import JOB_FIELDS, Submission
from api.wire.edit_answers import DryRun
from api.wire.edit_requests import EditOptions
from api.wire.forms import (
    FILES,
    check_at,
    check_has_photo,
    check_output,
    check_pictures,
    check_webhook,
    missing_part,
    parse_pixel,
)
from s2edit_core.errors import OptionInvalid
from s2edit_core.request.domains import DEFAULT_SUBJECTS
from s2edit_core.request.prompt_syntax import check_syntax
from s2edit_core.request.prompts import check_sentences
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.intake.continuing import continued
from s2edit_jobs.intake.drafts import with_files
from s2edit_jobs.intake.forecast import Forecast, Forecaster
from s2edit_jobs.library.concepts import ATTRIBUTE_ID, IDENTITY_ID, Library
from s2edit_jobs.records.errors import AttributeNotFound, IdentityNotFound
from s2edit_jobs.records.files import Upload, check_modes, mask_modes
from s2edit_jobs.records.record import JobSpec
from s2edit_jobs.records.testmode import without_directives

OTHER_PHOTO = (
    "the source_prompt is that of the identity, which describes the photo that it was learned from: if this is another photo, send "
    "a source_prompt that describes it"
)


class EditSubmission(Submission[EditOptions, EditRequest]):
    """A request for an edit."""

    def dry_run(self) -> DryRun:
        """Run every check, and estimate what the edit would do. Nothing is stored."""
        request, files = self._complete(*self._read())
        spec, files = self._check(request, files, decode_all=True)
        self.jobs.take_slot(self.owner, spec.id)
        self.jobs.leave_slot(self.owner, spec.id)
        forecaster = Forecaster(self.services)
        attributes = self._applied_attributes(request)
        forecast = forecaster.forecast_edit(spec, files, attributes)
        self._budgets.check(learns=lambda: _learns(spec, forecast))
        eta_s = None if forecast.eta_s is None else round(forecast.eta_s, 1)  # as `Edit.of`
        warnings = forecaster.prompt_warnings(spec, attributes)
        if self.form.identity is not None and not self.form.source_prompt and "image" in files:
            warnings.append(OTHER_PHOTO)
        return DryRun(learning=forecast.learning, identity=forecast.identity, eta_s=eta_s, warnings=warnings)

    def _read(self) -> tuple[EditRequest, dict[str, Upload]]:
        values = self.form.model_dump(exclude={*FILES, *JOB_FIELDS, "dry_run"}, exclude_none=True)
        request = EditRequest.from_dict({**values, "at": parse_pixel(values.get("at"))})
        # Check only what was sent: prompts of an identity or parent were accepted before.
        for name in ("prompt", "source_prompt", "negative_prompt"):
            check_syntax(getattr(request, name), field=name)
        check_has_photo(self._sources(), self.form.identity, self.form.parent)
        files = self._files()
        check_modes(files, request)
        return request, files

    def _complete(self, request: EditRequest, files: dict[str, Upload]) -> tuple[EditRequest, dict[str, Upload]]:
        if self.form.parent is None:
            return request, files
        return continued(self.services, self.owner, self.form.parent, request, files)

    def _check(
        self, request: EditRequest, files: Mapping[str, Upload], *, decode_all: bool = False
    ) -> tuple[JobSpec, dict[str, Upload]]:
        check_webhook(self.form.webhook_url, self.services.settings)
        spec = self._draft_or_refuse(request, files)
        check_at(request.at, spec.inputs, lambda: files["image"].data)
        assert isinstance(spec.request, EditRequest)
        applied = self._applied_attributes(request)
        if self._vocabulary is not None:
            self._vocabulary.check(without_directives(self.owner, spec.request), applied)
        else:
            check_sentences(without_directives(self.owner, spec.request), DEFAULT_SUBJECTS)

        def photo() -> bytes:
            return (files.get("image") or self._identity_photo(spec)).data

        check_output(spec.request, photo)
        modes = mask_modes(files, spec.request)
        kept = check_pictures(files, photo, modes, max_pixels=spec.request.max_pixels, decode_all=decode_all)
        return with_files(spec, kept), kept

    def _draft_or_refuse(self, request: EditRequest, files: Mapping[str, Upload]) -> JobSpec:
        try:
            spec = self._draft(request, files)
        except IdentityNotFound as error:
            other = "it is the id of an attribute: send it in attributes"
            remedy = other if ATTRIBUTE_ID.fullmatch(request.identity or "") else "see GET /identities"
            raise OptionInvalid(
                f"there is no identity {request.identity!r}: {remedy}", field="identity", reason="identity_unknown"
            ) from error
        if "image" not in spec.inputs:  # an imported identity has no photo
            raise missing_part("image")
        return spec

    def _learns(self, spec: JobSpec, kept: Mapping[str, Upload]) -> bool:
        assert isinstance(spec.request, EditRequest)
        return _learns(spec, Forecaster(self.services).forecast_edit(spec, kept, self._applied_attributes(spec.request)))

    def _applied_attributes(self, request: EditRequest) -> list[tuple[str, str]]:
        """Return placeholder and subject of each attribute that the edit applies."""
        library, applied = Library(self.services), []
        for attribute_id in request.attributes:
            try:
                attribute = library.attribute(self.owner, attribute_id)
            except AttributeNotFound as error:
                other = "it is the id of an identity: send it as identity"
                remedy = other if IDENTITY_ID.fullmatch(attribute_id) else "see GET /attributes"
                raise OptionInvalid(
                    f"there is no attribute {attribute_id!r}: {remedy}", field="attributes", reason="attribute_unknown"
                ) from error
            applied.append((attribute.placeholder, attribute.subject))
        return applied

    def _identity_photo(self, spec: JobSpec) -> Upload:
        """Return the photo of the identity that the edit uses."""
        file = spec.inputs["image"]
        return Upload(self.services.artifacts.get(file.key), file.media_type)


def _learns(spec: JobSpec, forecast: Forecast) -> bool:
    """Return whether the edit has to learn a person. That an identity's file is damaged, only a worker knows for sure."""
    assert isinstance(spec.request, EditRequest)
    return spec.request.identity is None and forecast.learning == "needed"
