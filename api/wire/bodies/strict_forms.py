"""Multipart forms, read strictly: complete, in UTF-8, and with errors that say what to change.

The framework's parser would silently drop the last part of a form that is cut off, so that a dry run could become an edit. It also
decodes texts by any codec that `Content-Type` names, and takes an encoded part for its content.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser

UTF_8 = "utf-8"
_MISREAD = (
    "the body is not multipart data with the boundary that Content-Type names: let your HTTP library write both, and set no "
    "Content-Type yourself"
)


class StrictForm(MultiPartParser):
    """A parser of one form. `parse` raises `MultiPartException`, whose message says what to change."""

    _is_open = False

    def on_part_begin(self) -> None:
        self._is_open = True
        super().on_part_begin()

    def on_headers_finished(self) -> None:
        self._charset = UTF_8
        super().on_headers_finished()
        coding = dict(self._current_part.item_headers).get(b"content-transfer-encoding", b"").strip().lower()
        if coding in (b"base64", b"quoted-printable"):
            raise MultiPartException(
                f"the part {self._current_part.field_name[:80]!r} is encoded ({coding.decode()}): send its bytes as they are"
            )

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current_part
        if part.file is None and len(part.data) + end - start > self.max_part_size:
            raise MultiPartException(
                f"the part {part.field_name[:80]!r} is a text of more than {self.max_part_size // 1024} KB: send a file with a "
                "filename, and a text within this bound"
            )
        super().on_part_data(data, start, end)

    def on_part_end(self) -> None:
        part = self._current_part
        if part.file is None:
            try:
                part.data.decode(UTF_8)
            except UnicodeDecodeError:
                raise MultiPartException(f"the part {part.field_name[:80]!r} is not UTF-8: send it as UTF-8") from None
        super().on_part_end()

    def on_end(self) -> None:
        self._is_open = False

    async def parse(self) -> FormData:
        try:
            form = await super().parse()
        except MultiPartException as error:
            is_misread = isinstance(error.__cause__, FormParserError) or "boundary" in error.message
            raise MultiPartException(_MISREAD if is_misread else error.message) from error
        if self._is_open:
            await form.close()
            raise MultiPartException("the form is cut off before its closing boundary: send all of it")
        return form


class FormRequest(Request):
    """A request whose form is read strictly. A body of another kind is an empty form: `check_parts` names what to send."""

    async def _get_form(self, *, max_files: float = 1000, max_fields: float = 1000, max_part_size: int = 1024 * 1024) -> FormData:
        if self._form is None:
            kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "multipart/form-data":
                self._form = FormData()
                return self._form
            async with aclosing(self.stream()) as stream:
                parser = StrictForm(self.headers, stream, max_files=max_files, max_fields=max_fields, max_part_size=max_part_size)
                try:
                    self._form = await parser.parse()
                except MultiPartException as error:
                    raise HTTPException(400, error.message) from error
        return self._form


class FormRoute(APIRoute):
    """A route that takes a form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(FormRequest(request.scope, request.receive))

        return handle_strictly
