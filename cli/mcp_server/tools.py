"""The tools. Each is one request to the service; those that begin a job follow it for a while."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from anyio import to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, TextContent

from api.wire.fields import MaxPixels
from cli.client import EditClient, ServiceError, View
from cli.mcp_server import answers, words
from cli.mcp_server.photos import PhotoReader, PictureRefused
from cli.mcp_server.waiting import followed
from s2edit_core.request.texts import counted

WAIT_S = 45.0
"""How long a tool waits by default. Many clients give up after 60 s."""
ROUTES = {"e": "/edits", "c": "/identities", "a": "/attributes"}
ID = re.compile(r"[eca]_[0-9A-Za-z]{1,64}")
ResultT = TypeVar("ResultT")


class Tools:
    """The tools, for the caller that `client_of` recognises."""

    def __init__(self, client_of: Callable[[Context], EditClient], photos: PhotoReader) -> None:
        self._client_of = client_of
        self._photos = photos

    async def edit_photo(
        self,
        ctx: Context,
        prompt: words.Prompt,
        photo: words.EditedPhoto = None,
        identity: words.IdentityId = None,
        parent: words.Parent = None,
        source_prompt: words.SourcePrompt = None,
        mask: words.PersonMask = None,
        edit_mask: words.EditMask = None,
        at: words.At = None,
        subject: words.Subject = None,
        attributes: words.Attributes = None,
        preset: words.Preset = None,
        variants: words.Variants = None,
        seed: words.Seed = None,
        guidance_scale: words.Guidance = None,
        negative_prompt: words.Negative = None,
        strength: words.Strength = None,
        max_pixels: MaxPixels = None,
        consent: words.Consent = None,
        idempotency_key: words.Key = None,
        wait_s: words.Wait = WAIT_S,
    ) -> CallToolResult:
        if not any(text and text.strip() for text in (photo, identity, parent)):
            raise ToolError("send a `photo`, or the `identity` of a learned person, or the `parent` to go on from")
        fields = {
            "prompt": prompt,
            "identity": identity,
            "parent": parent,
            "source_prompt": source_prompt,
            "at": at,
            "subject": subject,
            "attributes": attributes,
            "preset": preset,
            "variants": variants,
            "seed": seed,
            "guidance_scale": guidance_scale,
            "negative_prompt": negative_prompt,
            "strength": strength,
            "max_pixels": max_pixels,
            "consent": consent,
        }
        files = {"image": photo, "mask": mask, "edit_mask": edit_mask}
        return await self._job(ctx, "/edits", fields, files, idempotency_key, wait_s)

    async def learn_person(
        self,
        ctx: Context,
        photo: words.Photo,
        prompt: words.Description,
        mask: words.PersonMask = None,
        at: words.At = None,
        subject: words.Subject = None,
        name: words.PersonName = None,
        preset: words.Preset = None,
        max_pixels: MaxPixels = None,
        consent: words.Consent = None,
        idempotency_key: words.Key = None,
        wait_s: words.Wait = WAIT_S,
    ) -> CallToolResult:
        _check_given(photo=photo)
        fields = {
            "prompt": prompt,
            "name": name,
            "at": at,
            "subject": subject,
            "preset": preset,
            "max_pixels": max_pixels,
            "consent": consent,
        }
        return await self._job(ctx, "/identities", fields, {"image": photo, "mask": mask}, idempotency_key, wait_s)

    async def learn_attribute(
        self,
        ctx: Context,
        photo: words.Photo,
        mask: words.AttributeMask,
        prompt: words.Marked,
        subject: words.AttributeSubject = None,
        name: words.Name = None,
        preset: words.Preset = None,
        max_pixels: MaxPixels = None,
        consent: words.Consent = None,
        idempotency_key: words.Key = None,
        wait_s: words.Wait = WAIT_S,
    ) -> CallToolResult:
        _check_given(photo=photo, mask=mask)
        fields = {
            "prompt": prompt,
            "subject": subject,
            "name": name,
            "preset": preset,
            "max_pixels": max_pixels,
            "consent": consent,
        }
        return await self._job(ctx, "/attributes", fields, {"image": photo, "mask": mask}, idempotency_key, wait_s)

    async def follow(self, ctx: Context, job_id: words.JobId, wait_s: words.Wait = WAIT_S) -> CallToolResult:
        with _plain_errors():
            client, path = self._client_of(ctx), _path(job_id, "e")
            job = await _run(partial(client.call, "GET", path))
            return await self._shown(client, await followed(client, job, wait_s, ctx))

    async def cancel(self, ctx: Context, job_id: words.JobId) -> CallToolResult:
        with _plain_errors():
            client = self._client_of(ctx)
            return await self._shown(client, await _run(partial(client.call, "POST", f"{_path(job_id, 'e')}/cancel")))

    async def erase(self, ctx: Context, id: words.AnyId) -> CallToolResult:
        with _plain_errors():
            receipt = await _run(partial(self._client_of(ctx).call, "DELETE", _path(id)))
        objects = counted(receipt["objects"], "stored object")
        return _said(
            f"{receipt['erased']} {receipt['id']} was erased at {receipt['erased_at']}, {objects}.",
            f"receipt: {receipt['receipt']}",
        )

    async def rename(self, ctx: Context, id: words.ConceptId, name: words.NewName) -> CallToolResult:
        with _plain_errors():
            renamed = await _run(partial(self._client_of(ctx).rename, _path(id, "ca"), name.strip() or None))
        return _said(
            f"{renamed['id']} is now called {renamed['name']}." if renamed["name"] else f"{renamed['id']} has no name now."
        )

    async def list_people(self, ctx: Context, limit: words.Limit = 20, cursor: words.Cursor = None) -> CallToolResult:
        def line(person: View) -> str:
            photo = "" if person["has_photo"] else ", without a photo: each edit must send one"
            return f"{person['id']}: {person['name'] or 'no name'}, {person['source_prompt'] or 'no description'}{photo}"

        return await self._list(ctx, "/identities", line, limit=limit, cursor=cursor)

    async def list_attributes(self, ctx: Context, limit: words.Limit = 20, cursor: words.Cursor = None) -> CallToolResult:
        def line(attribute: View) -> str:
            marked = f"{attribute['placeholder']} {attribute['subject']}"
            return f"{attribute['id']}: {attribute['name'] or 'no name'}, {marked}, learned from “{attribute['prompt']}”"

        return await self._list(ctx, "/attributes", line, limit=limit, cursor=cursor)

    async def list_jobs(
        self, ctx: Context, state: words.State = None, limit: words.Limit = 20, cursor: words.Cursor = None
    ) -> CallToolResult:
        def line(job: View) -> str:
            learned = job.get("identity") or job.get("attribute")
            return f"{job['id']}: {job['kind']}, {job['state']}, {job['created_at']}" + (f", {learned}" if learned else "")

        return await self._list(ctx, "/edits", line, limit=limit, cursor=cursor, state=state)

    async def _job(
        self,
        ctx: Context,
        path: str,
        fields: Mapping[str, Any],
        pictures: Mapping[str, str | None],
        key: str | None,
        wait_s: float,
    ) -> CallToolResult:
        """Begin a job and follow it."""
        with _plain_errors():
            client = self._client_of(ctx)
            given = {name: _text(value) for name, value in fields.items() if value is not None}
            sent = {name: text for name, text in pictures.items() if text and text.strip()}
            files = {name: await _run(partial(self._picture, name, text, client)) for name, text in sent.items()}
            job = await _run(partial(client.begin, path, given, files, key or uuid.uuid4().hex))
            return await self._shown(client, await followed(client, job, wait_s, ctx))

    def _picture(self, part: str, text: str, client: EditClient) -> bytes:
        try:
            return self._photos.read(text, client)
        except PictureRefused as error:
            name = "photo" if part == "image" else part
            raise ToolError(f"the {name} can't be used: {error}") from error

    async def _shown(self, client: EditClient, job: View) -> CallToolResult:
        for picture in job.get("results") or []:
            self._photos.remember(picture["url"])
        return await _run(partial(answers.of_job, job, client))

    async def _list(self, ctx: Context, path: str, line: Callable[[View], str], **params: str | int | None) -> CallToolResult:
        with _plain_errors():
            page = await _run(partial(self._client_of(ctx).call, "GET", path, **params))
        lines = [line(item) for item in page["items"]] or ["none"]
        more = [f"There are more: pass the cursor {page['next_cursor']}"] if page["next_cursor"] else []
        return _said(*lines, *more)


def _check_given(**pictures: str) -> None:
    """Raise `ToolError` for a picture that is required and blank, as models fill what they do not know."""
    for name, text in pictures.items():
        if not text.strip():
            raise ToolError(f"`{name}` is empty: send {words.PICTURE}")


def _run(function: Callable[[], ResultT]) -> Awaitable[ResultT]:
    """Run what blocks in a thread. A call that the client gives up ends at once; what it began at the service goes on."""
    return to_thread.run_sync(function, abandon_on_cancel=True)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Raise what the service answers as an error of the tool, with what to do about it."""
    try:
        yield
    except ServiceError as error:
        raise ToolError(answers.of_error(error)) from error


def _path(text: str, kinds: str = "eca") -> str:
    """Return the path of what an id names. Raises `ToolError` for a text that is no such id."""
    if not ID.fullmatch(text) or text[0] not in kinds:
        raise ToolError(
            f"{text[:80]!r} is no id here: ids begin with {' or '.join(f'{kind}_' for kind in kinds)}; see the list tools"
        )
    return f"{ROUTES[text[0]]}/{text}"


def _text(value: Any) -> str | list[str]:
    return [str(one) for one in value] if isinstance(value, list) else str(value)


def _said(*lines: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text="\n".join(lines))])
