"""A server with `/v1/images/edits` that is correct, or has one planted fault."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

NAMES = {
    *("prompt", "image", "mask", "model", "n", "size", "quality", "response_format", "output_format", "output_compression"),
    *("background", "user", "seed", "stream"),
}
CHOICES = {
    "model": {"editor"},
    "quality": {"low", "high"},
    "response_format": {"b64_json", "url"},
    "output_format": {"png", "jpeg", "webp"},
    "background": {"opaque"},
}
RANGES = {"n": (1, 10), "output_compression": (0, 100)}


class Refused(Exception):
    """A request that is answered 400."""


class Editor:
    """Colours what the mask leaves free. `fault` names what it does wrong."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.address = ""
        self._waiting: list[tuple[UploadFile | None, asyncio.Event, list[np.ndarray]]] = []
        self._last: np.ndarray | None = None
        self._count = 0
        self._resting = False
        self._files: dict[str, bytes] = {}

    async def edit(self, request: Request) -> Response:
        form = await request.form()
        if self.fault == "rests after an error" and self._resting:
            self._resting = False
            return JSONResponse({"error": {"message": "no server is free"}}, status_code=429)
        try:
            fields = self._checked(form)
            photo, mask = await self._pictures(form)
        except Refused as refusal:
            self._resting = True
            return self._refusal(str(refusal))
        self._count += 1
        if self.fault == "loses" and self._count % 3 == 0:
            return JSONResponse({"error": {"message": "overloaded"}}, status_code=503)
        if self.fault == "answers nothing" and self._count % 3 == 0:
            return JSONResponse({"created": 1, "data": []})
        edited = self._edited(photo, mask, fields)
        if self.fault == "swaps":
            edited = await self._swapped(edited)
        if self.fault == "repeats":
            self._last, edited = edited, edited if self._last is None else self._last
        return self._answered(edited, fields)

    def _checked(self, form: FormData) -> dict[str, str]:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        if self.fault == "checks nothing":
            return {name: value for name, value in fields.items() if name in NAMES and value in CHOICES.get(name, {value})}
        if unknown := set(form) - NAMES:
            raise Refused(f"unknown parameters: {unknown}")
        for name, value in fields.items():
            if value not in CHOICES.get(name, {value}):
                raise Refused(f"{name} can't be {value}")
            low, high = RANGES.get(name, (0, 0))
            if name in RANGES and not low <= int(value) <= high:
                raise Refused(f"{name} is at least {low} and at most {high}")
        if not fields.get("prompt"):
            raise Refused("no prompt")
        return fields

    async def _pictures(self, form: FormData) -> tuple[np.ndarray, np.ndarray]:
        image, mask = form.get("image"), form.get("mask")
        try:
            assert isinstance(image, UploadFile)
            photo = np.asarray(Image.open(io.BytesIO(await image.read())).convert("RGB"))
            assert isinstance(mask, UploadFile)
            free = np.asarray(Image.open(io.BytesIO(await mask.read())).convert("RGBA"))[..., 3] == 0
            assert free.shape == photo.shape[:2]
        except (AssertionError, OSError) as error:
            if self.fault != "checks nothing":
                raise Refused("no picture") from error
            photo = np.zeros((512, 512, 3), np.uint8)
            free = np.ones((512, 512), bool)
        return photo, free

    def _edited(self, photo: np.ndarray, free: np.ndarray, fields: dict[str, str]) -> np.ndarray:
        seed = "" if self.fault == "ignores the seed" else fields.get("seed", "")
        colour = np.frombuffer(hashlib.sha256(f"{fields.get('prompt')}{seed}".encode()).digest()[:3], np.uint8)
        edited = photo.copy()
        if self.fault == "drops the mask":
            free = np.ones_like(free)
        if self.fault == "shifts what is kept":
            edited = np.where(photo < 255, photo + 1, photo).astype(np.uint8)
        if self.fault != "edits nothing":
            edited[free] = (edited[free] // 2 + colour // 2).astype(np.uint8)
        return edited

    async def _swapped(self, mine: np.ndarray) -> np.ndarray:
        """Return the picture of another request that is being answered, if there is one."""
        if self._waiting:
            _, theirs, box = self._waiting.pop()
            other, box[0] = box[0], mine
            theirs.set()
            return other
        here, box = asyncio.Event(), [mine]
        self._waiting.append((None, here, box))
        try:
            await asyncio.wait_for(here.wait(), 1)
        except TimeoutError:
            self._waiting.clear()
        return box[0]

    def _answered(self, edited: np.ndarray, fields: dict[str, str]) -> Response:
        size = fields.get("size", "auto")
        own = f"{edited.shape[1]}x{edited.shape[0]}"
        if size not in ("auto", own) and self.fault not in ("ignores the size", "checks nothing"):
            return self._refusal(f"the size is {own}")
        if self.fault == "resizes":
            edited = np.asarray(Image.fromarray(edited).resize((256, 256)))
        kind = "png" if self.fault == "ignores the format" else fields.get("output_format", "png")
        ignores = self.fault == "ignores the compression"
        compression = {} if kind == "png" or ignores else {"quality": max(1, int(fields.get("output_compression", "90")))}
        file = io.BytesIO()
        Image.fromarray(edited).save(file, kind, **compression)
        count = 1 if self.fault == "ignores n" else int(fields.get("n", "1") or 1) + (self.fault == "adds pictures")
        items: list[dict[str, Any]] = [self._item(file.getvalue(), fields)] * max(1, min(count, 10))
        if fields.get("stream") == "true" and self.fault != "ignores stream":
            lines = [json.dumps({"type": "image_edit.completed", **item}) for item in items]
            return Response("".join(f"data: {line}\n\n" for line in lines), media_type="text/event-stream")
        return JSONResponse({"created": 1, "data": items})

    def _item(self, file: bytes, fields: dict[str, str]) -> dict[str, str]:
        if fields.get("response_format") != "url" or self.fault == "ignores the response format":
            return {"b64_json": base64.b64encode(file).decode()}
        self._files[name := str(len(self._files))] = file
        return {"url": f"{self.address}/files/{name}"}

    def _refusal(self, message: str) -> Response:
        if self.fault == "refuses in its own shape":
            return JSONResponse({"detail": message}, status_code=422)
        return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status_code=400)

    async def file(self, request: Request) -> Response:
        return Response(self._files[request.path_params["name"]])

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[Route("/v1/images/edits", self.edit, methods=["POST"]), Route("/files/{name}", self.file, methods=["GET"])]
        )


@contextmanager
def serving(editor: Editor) -> Iterator[str]:
    """Run the server in a thread, and yield its address."""
    server = uvicorn.Server(uvicorn.Config(editor.app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    editor.address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield editor.address
    finally:
        server.should_exit = True
        thread.join(5)
