"""What a tool answers: words, pictures of a bounded size, and links."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

from mcp_types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent
from PIL import Image

from cli.client import UNSENDABLE_CODE, EditClient, ServiceError, View
from cli.mcp_server.waiting import standing

MAX_BYTES = 600_000
"""Bytes of all pictures in an answer. Clients cut or refuse answers of more than about a megabyte of base64."""
MAX_SIDE = 1024
"""Pixels of the longer side. Models see no more of a picture than that."""
SHOWN = ("image/png", "image/jpeg", "image/webp")
ADVICE = {
    0: "Ask the user whether the service runs, then try again.",
    401: "Ask the operator for a key: S2EDIT_API_KEY of this server, or Authorization: Bearer of your requests to it.",
    403: "The key does not allow this: ask the operator for another one.",
    404: "The id is wrong, or it was erased: see list_jobs, list_people or list_attributes.",
    409: "Wait a moment, then try again.",
    410: "Ask the user before you make it again.",
    413: "Send a smaller picture.",
    422: "Correct the named argument and call the tool again.",
    429: "Wait until other jobs are over, then try again.",
}


OWN_WORDS = (
    ("send it as a file, or in JSON as the id of an upload", "send it"),
    ("the part 'image'", "the photo"),
    ("the part '", "the argument '"),
    ("`image`", "`photo`"),
    ("with a new Idempotency-Key", "with another `idempotency_key`, or without one"),
    ("see GET /identities", "see list_people"),
    ("see GET /attributes", "see list_attributes"),
)
"""What the service calls a thing, and what the tools call it."""


def in_own_words(message: str) -> str:
    for theirs, ours in OWN_WORDS:
        message = message.replace(theirs, ours)
    return message


def of_error(error: ServiceError) -> str:
    """Return what went wrong, and what to do about it."""
    status = 422 if error.code == UNSENDABLE_CODE else error.status
    advice = ADVICE.get(status, "Try again later; if it stays so, tell the user." if status >= 500 else "")
    return f"{in_own_words(str(error))}. {advice}".strip()


def of_job(job: View, client: EditClient) -> CallToolResult:
    """Return the answer about a job: its pictures if it has any, else how far it is or why it failed."""
    failed = job["state"] == "failed"
    blocks: list[ContentBlock] = [TextContent(type="text", text="\n".join(_lines(job)))]
    pictures = job.get("results") or []
    for picture in pictures:
        blocks += _picture(picture, client, MAX_BYTES // len(pictures))
    return CallToolResult(content=blocks, is_error=failed)


def _lines(job: View) -> Iterator[str]:
    match job["state"]:
        case "succeeded":
            yield f"Job {job['id']} ({job['kind']}) has succeeded."
        case "failed":
            error = job["error"]
            again = "The same call may succeed later." if error["retryable"] else "Change the request before you send it again."
            yield f"Job {job['id']} ({job['kind']}) has failed: {in_own_words(error['message'])} ({error['code']}). {again}"
        case "canceled":
            yield f"Job {job['id']} ({job['kind']}) was canceled."
        case _:
            yield f"Job {job['id']} ({job['kind']}) is not over ({standing(job)}). It goes on: call follow with {job['id']}."
    if job.get("identity"):
        yield f"identity: {job['identity']} (pass it as `identity` to edit this person again)"
    if job.get("attribute"):
        yield f"attribute: {job['attribute']} (pass it in `attributes`)"
    values = (job.get("report") or {}).get("values", {})
    if (outside := (values.get("outside_edit_mask") or {}).get("max_level_difference")) is not None:
        equal = "every pixel equals the photo" if outside == 0 else "a lossy format or a watermark changes it"
        yield f"outside the edit mask: largest difference {outside} of 255 levels ({equal})"
    yield from (f"warning: {warning}" for warning in values.get("warnings", ()))
    if job["state"] == "succeeded" and job["kind"] == "edit" and not job.get("results"):
        yield "Its pictures have expired: edit again."
    if job.get("test"):
        yield "This is test mode: no model drew the picture."


def _picture(picture: View, client: EditClient, budget: int) -> Iterator[ContentBlock]:
    url, kind = picture["url"], picture["media_type"]
    try:
        data = client.download(url)
    except ServiceError as error:
        yield TextContent(type="text", text=f"The picture can't be shown ({error}); its link may work for you.")
        yield ResourceLink(type="resource_link", uri=url, name="edited photo", mime_type=kind)
        return
    image, words = shown(data, kind, budget)
    yield TextContent(type="text", text=f"{words} Link until {picture['expires_at']}: {url}")
    yield image
    yield ResourceLink(type="resource_link", uri=url, name="edited photo", mime_type=kind, size=len(data))


def shown(data: bytes, kind: str, budget: int) -> tuple[ImageContent, str]:
    """Return the picture as content of at most `budget` bytes, and words about its size."""
    with Image.open(io.BytesIO(data)) as picture:
        width, height = picture.size
        facts = f"{width}×{height} pixels, {kind}, {len(data):,} bytes."
        if len(data) <= budget and max(picture.size) <= MAX_SIDE and kind in SHOWN:
            return _content(data, kind), facts
        side = MAX_SIDE
        picture.load()
        while True:
            reduced = picture.convert("RGB")
            reduced.thumbnail((side, side))
            file = io.BytesIO()
            reduced.save(file, "JPEG", quality=85)
            if file.tell() <= budget or side <= 64:
                break
            side //= 2
    words = f"{facts} Shown reduced to {reduced.width}×{reduced.height} as JPEG; the link has the whole file."
    return _content(file.getvalue(), "image/jpeg"), words


def _content(data: bytes, kind: str) -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(data).decode("ascii"), mime_type=kind)
