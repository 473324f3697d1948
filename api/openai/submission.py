"""One request of `POST /v1/images/edits` as a job: that of `POST /edits`, with pictures from wherever they came."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request

from api.guard.auth import Principal
from api.openai.translation import Asked
from api.routes.edit_submissions import EditSubmission
from api.routes.submissions import Source
from s2edit_core.errors import InvalidInput, OptionInvalid
from s2edit_core.pictures.containers import read_header
from s2edit_core.request.picture_limits import scaled_size
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobSpec


class ImageEdit(EditSubmission):
    """An edit whose pictures are files, `data:` URLs or uploads. Its errors are in the terms of the request."""

    def __init__(self, request: Request, principal: Principal, asked: Asked, idempotency_key: str | None) -> None:
        super().__init__(request, principal, asked.document, idempotency_key)
        self._asked = asked

    def accept(self) -> JobRecord:
        try:
            return super().accept()
        except InvalidInput as error:
            raise self._asked.in_its_terms(error) from error

    def _sources(self) -> dict[str, Source]:
        return {**super()._sources(), **self._asked.files}

    def _check(
        self, request: EditRequest, files: Mapping[str, Upload], *, decode_all: bool = False
    ) -> tuple[JobSpec, dict[str, Upload]]:
        spec, kept = super()._check(request, files, decode_all=decode_all)
        if self._asked.size is not None:
            self._check_size(self._asked.size, spec, (files.get("image") or self._identity_photo(spec)).data)
        return spec, kept

    def _check_size(self, wanted: tuple[int, int], spec: JobSpec, photo: bytes) -> None:
        """Raise `OptionInvalid` unless the result will have the size `wanted`."""
        assert isinstance(spec.request, EditRequest)
        header = read_header(photo)
        size = scaled_size(header.size, spec.request.max_pixels) if header is not None else None
        if size != wanted:
            known = "" if size is None else f", {size[0]}x{size[1]}"
            raise OptionInvalid(
                f"the result has the photo's size{known}, not {wanted[0]}x{wanted[1]}: send size=auto or leave it out, and scale "
                "the photo or the result yourself",
                field="size",
                reason="size_unsupported",
            )
