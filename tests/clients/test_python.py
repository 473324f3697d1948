"""The Python client against a running service."""

from __future__ import annotations

import asyncio
import http.server
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from s2edit_client import (
    AuthenticatedClient,
    Client,
    EditFailed,
    edit_and_wait,
    edit_and_wait_async,
    follow_edit,
    follow_edit_async,
    waiting,
)
from s2edit_client.rest.api.attributes import create_attribute
from s2edit_client.rest.api.edits import cancel_edit, create_edit, get_edit, get_preview, list_edits
from s2edit_client.rest.api.identities import create_identity, list_identities
from s2edit_client.rest.api.masks import create_mask
from s2edit_client.rest.api.tokens import create_token
from s2edit_client.rest.api.uploads import create_upload, get_upload
from s2edit_client.rest.models import (
    AttributeDocument,
    Edit,
    EditDocument,
    EditForm,
    EditFormOutputFormat,
    IdentityDocument,
    JobState,
    Link,
    MaskDocument,
    Problem,
    Token,
    TokenRequest,
    UploadRequest,
    UploadRequestMediaType,
    UploadView,
)
from s2edit_client.rest.types import File

from tests.clients.conftest import Live

PROMPT = "a photo of a woman with long red hair"


@pytest.fixture
def client(live: Live) -> Iterator[AuthenticatedClient]:
    """Return a client without a key, which programs on this machine do not need. The types of the operations still ask for one."""
    with Client(base_url=live.url, timeout=httpx.Timeout(60)) as client:
        yield client  # type: ignore[misc]


def edits_of(client: AuthenticatedClient, user: str) -> list[Edit]:
    page = list_edits.sync(client=client, s2_edit_user=user)
    assert not isinstance(page, Problem)
    return page.items


def test_an_edit_is_asked_for_waited_for_and_fetched(live: Live, client: AuthenticatedClient) -> None:
    done = edit_and_wait(live.url, PROMPT, image=live.photo, mask=live.mask.read_bytes(), user="ann", preset="instant", seed=7)
    assert done.edit.state is JobState.SUCCEEDED
    assert done.picture == httpx.get(done.url).content
    assert done.report["learning_steps"] > 0
    assert [edit.id for edit in edits_of(client, "ann")] == [done.edit.id]
    people = list_identities.sync(client=client, s2_edit_user="ann")
    assert not isinstance(people, Problem)
    assert [person.id for person in people.items] == [done.edit.identity]

    further = edit_and_wait(live.url, "a photo of a smiling woman", identity=done.edit.identity, user="ann", variants=2)
    assert further.report["learning_steps"] == 0
    assert len(further.edit.results) == 2


def test_a_photo_and_a_sentence_are_enough_and_a_pixel_picks_one_of_several(live: Live) -> None:
    done = edit_and_wait(live.url, PROMPT, image=live.photo, user="alone", at=(60, 50))
    assert done.report["mask"]["source"] == "found"
    assert isinstance(done.edit.mask, Link)
    assert httpx.get(done.edit.mask.url).content.startswith(b"mask at (60, 50) of "), "as the engine of these tests says it"
    again = asyncio.run(edit_and_wait_async(live.url, "a photo of a smiling woman", image=live.photo, user="alone", at=(60, 50)))
    assert again.edit.identity == done.edit.identity
    with pytest.raises(EditFailed, match="outside the photo") as outside:
        edit_and_wait(live.url, PROMPT, image=live.photo, at=(9999, 50))
    assert (outside.value.code, outside.value.field) == ("at_outside", "at")


def test_choices_are_plain_strings_or_members_of_enumerations_and_none_is_the_default(
    live: Live, client: AuthenticatedClient
) -> None:
    parts = {"mask": live.mask, "edit_mask": live.mask, "user": "choices", "preset": "instant"}
    done = edit_and_wait(
        live.url,
        PROMPT,
        image=live.photo,
        mask_mode="luminance",
        edit_mask_mode="luminance",
        output_format="webp",
        keep_alpha=False,
        seed=None,
        **parts,
    )
    assert httpx.get(done.url).headers["content-type"] == "image/webp"
    done = edit_and_wait(live.url, PROMPT, image=live.photo, output_format=EditFormOutputFormat.JPEG, attributes=None, **parts)
    assert httpx.get(done.url).headers["content-type"] == "image/jpeg"
    with pytest.raises(EditFailed) as unknown:
        edit_and_wait(live.url, PROMPT, image=live.photo, user="choices", output_format="bmp")
    assert (unknown.value.status, unknown.value.field) == (422, "output_format")
    with pytest.raises(EditFailed) as absent:
        edit_and_wait(live.url, "a photo of a woman with [A] hat", image=live.photo, user="choices", attributes="c_" + "0" * 32)
    assert absent.value.field == "attributes", "one attribute is a list of one"
    page = list_edits.sync(client=client, state="succeeded", kind="edit", s2_edit_user="choices")  # type: ignore[arg-type]
    assert not isinstance(page, Problem)
    assert len(page.items) == 2


def test_it_is_the_same_without_blocking_the_loop(live: Live) -> None:
    async def two() -> list[waiting.Done]:
        one = edit_and_wait_async(live.url, PROMPT, image=live.photo, mask=live.mask, user="two")
        other = edit_and_wait_async(live.url, "a photo of a smiling woman", image=live.photo, mask=live.mask, user="two")
        return await asyncio.gather(one, other)

    one, other = asyncio.run(two())
    assert one.picture != other.picture
    assert one.edit.identity == other.edit.identity


def test_a_refusal_is_raised_with_its_code_and_field(live: Live) -> None:
    empty = io.BytesIO()
    Image.new("L", Image.open(live.mask).size).save(empty, "PNG")
    with pytest.raises(EditFailed, match="paint the region white") as refused:
        edit_and_wait(live.url, PROMPT, image=live.photo, mask=empty.getvalue())
    failure = refused.value
    assert (failure.code, failure.status, failure.field, failure.retryable) == ("mask_empty", 422, "mask", False)


def test_an_edit_that_fails_is_raised_with_its_code_and_id(live: Live) -> None:
    with pytest.raises(EditFailed) as failed:
        edit_and_wait(live.url, PROMPT, image=live.photo, mask=live.mask, deadline_s=0.001)
    assert (failed.value.code, failed.value.status) == ("deadline_exceeded", None)
    assert failed.value.edit_id


def test_what_takes_too_long_goes_on_and_is_found_by_its_key(live: Live) -> None:
    with live.worker_held(), pytest.raises(EditFailed) as late:
        edit_and_wait(live.url, PROMPT, image=live.photo, mask=live.mask, user="late", timeout_s=0.5, idempotency_key="k1")
    assert late.value.code == "timeout"
    done = edit_and_wait(live.url, PROMPT, image=live.photo, mask=live.mask, user="late", idempotency_key="k1")
    assert done.edit.id == late.value.edit_id


def test_an_erased_edit_is_raised_at_once_and_does_not_come_back(live: Live) -> None:
    values: dict[str, Any] = {"image": live.photo, "mask": live.mask, "user": "erased", "idempotency_key": "k2"}
    edit_id = edit_and_wait(live.url, PROMPT, **values).edit.id
    httpx.delete(f"{live.url}/edits/{edit_id}", headers={"S2Edit-User": "erased"}).raise_for_status()
    with pytest.raises(EditFailed) as gone:
        edit_and_wait(live.url, PROMPT, timeout_s=5, **values)
    assert (gone.value.code, gone.value.status, gone.value.retryable) == ("edit_erased", 410, False)


def test_parts_that_no_edit_has_are_refused_before_anything_is_sent() -> None:
    for options in ({"colour": "red"}, {"dry_run": True}):
        with pytest.raises(TypeError):
            edit_and_wait("http://127.0.0.1:9", PROMPT, **options)


@contextmanager
def in_between(url: str, answer: Callable[[int, httpx.Response], tuple[int, bytes] | None]) -> Iterator[str]:
    """Run an unreliable proxy before the service at `url`.

    `answer` gets the number of requests so far and the response of the service. It returns the response to send instead, or None
    to cut the connection.
    """
    seen: list[str] = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            seen.append(self.command)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            said = httpx.request(self.command, f"{url}{self.path}", content=body, headers=headers, timeout=60)
            if (passed := answer(len(seen), said)) is None:
                self.close_connection = True
                return
            self.send_response(passed[0])
            for name in ("content-type", "preference-applied"):
                if name in said.headers:
                    self.send_header(name, said.headers[name])
            self.end_headers()
            self.wfile.write(passed[1])

        do_GET = do_POST = handle_one  # noqa: N815

        def log_message(self, format: str, *values: object) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()  # how soon it hears of its end
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_answers_that_get_lost_make_no_second_edit(
    live: Live, client: AuthenticatedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first response is lost, the second is the HTML page of a proxy, the third its JSON."""
    monkeypatch.setattr(waiting, "PAUSE_S", 0.01)
    bad = {1: None, 2: (502, b"<html>Bad Gateway</html>"), 3: (503, b'{"message": "busy"}')}
    with in_between(live.url, lambda count, said: bad.get(count, (said.status_code, said.content))) as proxy:
        done = edit_and_wait(proxy, PROMPT, image=live.photo, mask=live.mask, user="lossy")
    assert [edit.id for edit in edits_of(client, "lossy")] == [done.edit.id]


def begun(live: Live, client: AuthenticatedClient, user: str) -> str:
    form = EditForm(
        prompt=PROMPT,
        image=File(io.BytesIO(live.photo.read_bytes()), "photo.png"),
        mask=File(io.BytesIO(live.mask.read_bytes()), "mask.png"),
    )
    edit = create_edit.sync(client=client, body=form, s2_edit_user=user)
    assert isinstance(edit, Edit)
    return edit.id


def test_an_edit_is_followed_from_its_beginning_to_its_end(live: Live, client: AuthenticatedClient) -> None:
    edit_id = begun(live, client, "fay")
    seen = list(follow_edit(live.url, edit_id, user="fay"))
    assert (seen[0].state, seen[-1].state) == (JobState.QUEUED, JobState.SUCCEEDED)
    assert seen[-1].result
    sequences = [edit.sequence for edit in seen]
    assert sequences == sorted(set(sequences))

    assert [edit.sequence for edit in follow_edit(live.url, edit_id, user="fay", after=sequences[0])] == sequences[1:]
    assert list(follow_edit(live.url, edit_id, user="fay", after=sequences[-1])) == []

    async def followed() -> list[int]:
        return [edit.sequence async for edit in follow_edit_async(live.url, edit_id, user="fay")]

    assert asyncio.run(followed()) == sequences


def test_a_preview_is_loaded_by_its_number(live: Live, client: AuthenticatedClient) -> None:
    edit_id = begun(live, client, "pia")
    numbers = [edit.preview for edit in follow_edit(live.url, edit_id, user="pia") if edit.preview]
    answer = get_preview.sync_detailed(edit_id, client=client, s2_edit_user="pia")
    assert (answer.status_code, answer.headers["etag"]) == (200, f'"{numbers[-1]}"')
    assert isinstance(answer.parsed, File)
    assert answer.parsed.payload.read() == answer.content != b""
    again = get_preview.sync_detailed(edit_id, client=client, s2_edit_user="pia", if_none_match=f'"{numbers[-1]}"')
    assert again.status_code == 304


def test_a_stream_that_is_cut_goes_on_where_it_was(
    live: Live, client: AuthenticatedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first connection is lost, the second ends within its second event, the third gets the page of a proxy."""
    monkeypatch.setattr(waiting, "PAUSE_S", 0.01)
    edit_id = begun(live, client, "gus")
    whole = list(follow_edit(live.url, edit_id, user="gus"))
    asked: list[str | None] = []

    def answer(count: int, said: httpx.Response) -> tuple[int, bytes] | None:
        asked.append(said.request.headers.get("last-event-id"))
        second = said.content.find(b"event: edit", said.content.find(b"event: edit") + 1)
        bad = {1: None, 2: (200, said.content[: second + 30]), 3: (502, b"<html>Bad Gateway</html>")}
        return bad.get(count, (said.status_code, said.content))

    with in_between(live.url, answer) as proxy:
        seen = list(follow_edit(proxy, edit_id, user="gus"))
    assert asked == [None, None, *[str(whole[0].sequence)] * 2]
    assert [edit.sequence for edit in seen] == [edit.sequence for edit in whole]


def test_what_can_not_be_followed_is_raised(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EditFailed) as unknown:
        list(follow_edit(live.url, f"e_{'0' * 32}", user="fay"))
    assert (unknown.value.code, unknown.value.status) == ("not_found", 404)
    monkeypatch.setattr(waiting, "PAUSE_S", 0.01)
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.1)
    with pytest.raises(EditFailed) as lost:
        list(follow_edit("http://127.0.0.1:9", "e_1"))
    assert (lost.value.code, lost.value.retryable) == ("unreachable", True)


def test_a_service_that_is_not_there_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PAUSE_S", 0.01)
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.1)
    with pytest.raises(EditFailed) as failed:
        edit_and_wait("http://127.0.0.1:9", PROMPT)
    assert (failed.value.code, failed.value.retryable) == ("unreachable", True)


def test_a_device_edits_with_a_token_for_its_user_alone(live: Live, client: AuthenticatedClient) -> None:
    token = create_token.sync(client=client, s2_edit_user="dora", body=TokenRequest(edits=1))
    assert isinstance(token, Token)
    done = edit_and_wait(live.url, PROMPT, image=live.photo, mask=live.mask, token=token.token)
    assert [edit.id for edit in edits_of(client, "dora")] == [done.edit.id]
    with AuthenticatedClient(base_url=live.url, token=token.token) as device:
        shown = get_edit.sync(done.edit.id, client=device)
        assert isinstance(shown, Edit)
        assert shown.id == done.edit.id
    with pytest.raises(EditFailed) as spent:
        edit_and_wait(live.url, PROMPT, image=live.photo, mask=live.mask, token=token.token)
    assert (spent.value.code, spent.value.status) == ("token_spent", 403)


def test_an_edit_is_canceled(live: Live, client: AuthenticatedClient) -> None:
    with live.worker_held():
        edit_id = begun(live, client, "cato")
        canceled = cancel_edit.sync(edit_id, client=client, s2_edit_user="cato")
        assert isinstance(canceled, Edit)
        assert canceled.state is JobState.CANCELED
        nobody = cancel_edit.sync_detailed(edit_id, client=client, s2_edit_user="eve")
    assert nobody.status_code is HTTPStatus.NOT_FOUND
    assert isinstance(nobody.parsed, Problem)
    assert nobody.parsed.code == "not_found"


def test_pictures_go_straight_to_the_store(live: Live, client: AuthenticatedClient) -> None:
    def uploaded(path: Path) -> str:
        data = path.read_bytes()
        wish = UploadRequest(media_type=UploadRequestMediaType.IMAGEPNG, size_bytes=len(data))
        upload = create_upload.sync(client=client, body=wish, s2_edit_user="uma")
        assert isinstance(upload, UploadView)
        assert upload.put is not None
        httpx.put(upload.put.url, content=data, headers=upload.put.headers.additional_properties).raise_for_status()
        arrived = get_upload.sync(upload.id, client=client, s2_edit_user="uma")
        assert isinstance(arrived, UploadView)
        assert arrived.state == "arrived"
        return upload.id

    document = EditDocument(prompt=PROMPT, image=uploaded(live.photo), mask=uploaded(live.mask))
    edit = create_edit.sync(client=client, body=document, s2_edit_user="uma", prefer="wait=60")
    assert isinstance(edit, Edit)
    assert edit.state is JobState.SUCCEEDED, edit
    asked: Mapping[str, Any] = {"client": client, "s2_edit_user": "uma", "prefer": "wait=60"}
    pair: Mapping[str, Any] = {"image": document.image, "mask": document.mask}
    person = create_identity.sync(body=IdentityDocument(prompt="a photo of a woman", name="Uma", **pair), **asked)
    makeup = create_attribute.sync(body=AttributeDocument(prompt="a woman with [A] makeup", **pair), **asked)
    found = create_mask.sync(body=MaskDocument(image=document.image), **asked)
    assert isinstance(person, Edit)
    assert isinstance(makeup, Edit)
    assert isinstance(found, Edit)
    assert person.identity
    assert makeup.attribute
    assert found.mask
