"""Forms that are cut off, misread or in another encoding, and bodies and headers that can be read in two ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.api import pictures
from tests.unit.api.conftest import PROMPT, Api
from tests.unit.api.wire.test_bad_input import assert_problem, assert_refused

FORMS = ("/edits", "/identities", "/attributes", "/masks", "/v1/images/edits")
PHOTO = ('name="image"; filename="a.png"', pictures.photo())


def form(*parts: tuple[str, bytes]) -> bytes:
    written = b"".join(
        b"--X\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts
    )
    return written + b"--X--\r\n"


def post(api: Api, path: str, body: bytes, content_type: str = "multipart/form-data; boundary=X", **headers: str) -> Any:
    return api.client.post(path, content=body, headers={"Content-Type": content_type, **headers})


def refused(api: Api, answer: Any, code: str = "malformed_request", status: int = 400) -> str:
    """Check that the answer is a refusal in either shape, and that nothing is kept. Return its message."""
    assert answer.status_code in (status, 400), answer.text
    problem = answer.json().get("error") or answer.json()
    assert problem["code"] == code
    assert api.kept() == ({}, [], [])
    return str(problem.get("detail") or problem["message"])


WHOLE = form(PHOTO, ('name="prompt"', PROMPT.encode()), ('name="dry_run"', b"true"))


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("end", [-8, -20, -40, -200])
def test_a_form_that_is_cut_off_is_refused(api: Api, path: str, end: int) -> None:
    """Its last part would be missing: a dry run would become an edit."""
    assert "cut off" in refused(api, post(api, path, WHOLE[:end]))


@pytest.mark.parametrize("end", ["--X--", "--X--\r\nan epilogue", "--X--\r\n\r\n"])
def test_a_form_may_end_so(api: Api, end: str) -> None:
    answer = post(api, "/edits", WHOLE.removesuffix(b"--X--\r\n") + end.encode())
    assert (answer.status_code, answer.json()["learning"]) == (200, "unknown")


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=Y",
    ],
)
def test_a_form_without_its_boundary_says_who_should_write_it(api: Api, path: str, content_type: str) -> None:
    assert "let your HTTP library write both" in refused(api, post(api, path, WHOLE, content_type))


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("charset", ["undefined", "punycode", "idna", "unicode_escape", "utf-16", "zlib", "cp037", "nope"])
def test_texts_are_utf_8_whatever_the_head_says(api: Api, path: str, charset: str) -> None:
    answer = post(api, path, form(('name="xn--"', b"a \\ud800")), f"multipart/form-data; boundary=X; charset={charset}")
    assert "'xn--'" in refused(api, answer, "option_unknown", 422)


@pytest.mark.parametrize("path", FORMS)
def test_a_text_in_another_encoding_is_refused(api: Api, path: str) -> None:
    answer = post(api, path, form(PHOTO, ('name="prompt"', "a woman in a café".encode("latin-1"))))
    assert refused(api, answer) == "the part 'prompt' is not UTF-8: send it as UTF-8"


@pytest.mark.parametrize("path", FORMS[:4])
def test_a_file_that_was_sent_as_text_is_named(api: Api, path: str) -> None:
    assert "'image'" in (said := refused(api, post(api, path, form(('name="image"', b"a" * 20_000)))))
    assert "send a file with a filename" in said


@pytest.mark.parametrize("path", FORMS)
def test_another_kind_of_form_is_named_whatever_it_holds(api: Api, path: str) -> None:
    for body in (b"prompt=a+woman", b"&a=" * 100, WHOLE):
        answer = post(api, path, body, "application/x-www-form-urlencoded")
        assert "multipart/form-data" in refused(api, answer, "unsupported_media_type", 415)


@pytest.mark.parametrize("path", [*FORMS, "/uploads", "/tokens"])
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate, gzip", "x"])
def test_a_compressed_body_is_refused(api: Api, path: str, coding: str) -> None:
    answer = post(api, path, b"\x1f\x8b\x08", **{"Content-Encoding": coding})
    assert "compressed" in refused(api, answer, "unsupported_media_type", 415)


def test_a_compressed_upload_is_refused(api: Api) -> None:
    put = api.client.post("/uploads", json={"media_type": "image/png", "size_bytes": 3}).json()["put"]
    answer = api.client.put(put["url"], content=b"\x1f\x8b\x08", headers={**put["headers"], "Content-Encoding": "gzip"})
    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("coding", ["base64", "Quoted-Printable"])
def test_an_encoded_part_is_refused(api: Api, path: str, coding: str) -> None:
    """It would be taken as it is, as the words of a prompt."""
    part = f'name="prompt"\r\nContent-Transfer-Encoding: {coding}'
    assert f"is encoded ({coding.lower()})" in refused(api, post(api, path, form(PHOTO, (part, PROMPT.encode()))))


@pytest.mark.parametrize("coding", ["binary", "8bit"])
def test_a_part_may_say_that_it_is_not_encoded(api: Api, coding: str) -> None:
    part = f'name="subject"\r\nContent-Transfer-Encoding: {coding}'
    assert post(api, "/edits", WHOLE.removesuffix(b"--X--\r\n") + form((part, b"woman"))).status_code == 200


def test_a_body_may_say_that_it_is_not_compressed(api: Api) -> None:
    assert post(api, "/edits", WHOLE, **{"Content-Encoding": "identity"}).status_code == 200


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Authorization", ("Bearer none", "Bearer s2e_x")),
        ("S2Edit-User", ("ann", "bob")),
        ("S2Edit-User", ("ann", "ann")),
        ("Idempotency-Key", ("a", "b")),
        ("Content-Type", ("multipart/form-data; boundary=X", "application/json")),
    ],
)
def test_a_header_that_decides_comes_once(api: Api, name: str, values: Sequence[str]) -> None:
    for method, path, body in (("GET", "/edits", b""), ("POST", "/edits", WHOLE), ("DELETE", "/edits/e_1", b"")):
        headers = [*([("Content-Type", "multipart/form-data; boundary=X")] if name != "Content-Type" else [])]
        answer = api.client.request(method, path, content=body, headers=[*headers, *((name, value) for value in values)])
        assert f"the header {name.lower()} was sent more than once" in assert_problem(answer, 400, "malformed_request")["detail"]
    assert api.kept() == ({}, [], [])


def test_lists_may_come_in_several_headers(api: Api) -> None:
    answer = api.client.get("/edits", headers=[("Prefer", "wait=0"), ("Prefer", "respond-async"), ("If-None-Match", '"a"')])
    assert answer.status_code == 200


def test_an_identity_to_filter_by_may_have_spaces_around_it(api: Api) -> None:
    identity = api.learned_identity()
    assert api.post("/edits", prompt=PROMPT, identity=identity).status_code == 202
    api.work()
    for written in (identity, f" {identity}\r\n"):
        assert len(api.client.get("/edits", params={"identity": written}).json()["items"]) == 1
    assert_refused(api.client.get("/edits", params={"identity": "c_\x00"}), "option_invalid", "identity")
