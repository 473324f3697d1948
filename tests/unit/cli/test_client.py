from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.client import MAX_OUTAGE_S, EditClient, EditFailed, ServiceError, result_of
from cli.supervision.service import answers, new_probe

URL = "http://service.test"
Handler = Callable[[httpx.Request], httpx.Response]


def client_of(handler: Handler, slept: list[float] | None = None) -> EditClient:
    sleep: Callable[[float], None] = (lambda _s: None) if slept is None else slept.append
    return EditClient(URL, http=httpx.Client(transport=httpx.MockTransport(handler)), sleep=sleep)


def answering(*answers: httpx.Response | Exception) -> tuple[Handler, list[httpx.Request]]:
    """Return a handler that gives these answers in order, and the list of the requests that it gets."""
    requests: list[httpx.Request] = []
    remaining = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        answer = remaining.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle, requests


def view(state: str, **more: Any) -> dict[str, Any]:
    return {"id": "e_1", "state": state, **more}


def edit_view(state: str, sequence: int, retry_after: str = "1") -> httpx.Response:
    return httpx.Response(200, json=view(state), headers={"ETag": f'"{sequence}"', "Retry-After": retry_after})


def test_a_post_sends_fields_and_files_as_one_multipart_form(tmp_path: Path) -> None:
    photo = tmp_path / "me.jpg"
    photo.write_bytes(b"\xff\xd8photo")
    handle, requests = answering(httpx.Response(202, headers={"Location": "/edits/e_1"}))

    location = client_of(handle).post({"prompt": "a man — smiling"}, {"image": photo})

    assert location == f"{URL}/edits/e_1"
    body = requests[0].read()
    assert requests[0].headers["Content-Type"].startswith("multipart/form-data")
    assert b'name="prompt"\r\n' in body
    assert "a man — smiling".encode() in body
    assert b'name="image"; filename="me.jpg"' in body
    assert b"\xff\xd8photo" in body


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://service.test/photos", "/photos/edits/e_1"),  # through the proxy that serves it below a path
        ("http://127.0.0.1:8000", "/photos/edits/e_1"),  # past the proxy, on the service's own machine
        ("http://service.test/v2/photos/", "/photos/edits/e_1"),  # through another one
    ],
)
def test_an_edit_is_followed_below_the_address_that_was_given(url: str, location: str) -> None:
    handle, _ = answering(httpx.Response(202, headers={"Location": location}))
    client = EditClient(url, http=httpx.Client(transport=httpx.MockTransport(handle)))
    assert client.post({"prompt": "x"}, {}) == f"{url.rstrip('/')}/edits/e_1"


def test_a_post_without_files_is_multipart_too() -> None:
    handle, requests = answering(httpx.Response(202, headers={"Location": "/edits/e_1"}))
    client_of(handle).post({"prompt": "x", "identity": "c_1"}, {})
    assert requests[0].headers["Content-Type"].startswith("multipart/form-data")


def test_a_rejection_repeats_the_detail_and_code_of_the_problem() -> None:
    problem = {"detail": "the mask is empty: paint the region white", "code": "mask_empty"}
    content = json.dumps(problem).encode()
    handle, _ = answering(httpx.Response(422, content=content, headers={"Content-Type": "application/problem+json"}))
    with pytest.raises(ServiceError, match=r"the mask is empty: paint the region white \(422 mask_empty\)"):
        client_of(handle).post({"prompt": "x"}, {})


def test_an_answer_without_a_problem_document_is_named_by_its_status() -> None:
    handle, _ = answering(httpx.Response(502, text="<html>"))
    with pytest.raises(ServiceError, match="502 Bad Gateway"):
        client_of(handle).post({"prompt": "x"}, {})


def test_without_a_service_the_error_names_the_command_that_starts_one() -> None:
    handle, _ = answering(httpx.ConnectError("refused"))
    with pytest.raises(ServiceError, match="s2edit up"):
        client_of(handle).post({"prompt": "x"}, {})


def test_following_yields_each_change_until_the_edit_ends() -> None:
    handle, requests = answering(edit_view("queued", 1), edit_view("running", 2), httpx.Response(304), edit_view("succeeded", 3))
    views = list(client_of(handle).follow(f"{URL}/edits/e_1"))
    assert [v["state"] for v in views] == ["queued", "running", "succeeded"]
    assert [request.headers.get("If-None-Match") for request in requests] == [None, '"1"', '"2"', '"2"']


@pytest.mark.parametrize(
    ("retry_after", "expected_s"), [("3", 3.0), ("0", 0.1), ("3600", 10.0), ("Tue, 24 Nov 2026 00:00:00 GMT", 1.0), ("", 1.0)]
)
def test_the_client_honours_retry_after_within_bounds(retry_after: str, expected_s: float) -> None:
    slept: list[float] = []
    handle, _ = answering(edit_view("running", 1, retry_after), edit_view("succeeded", 2))
    list(client_of(handle, slept).follow(f"{URL}/edits/e_1"))
    assert slept == [expected_s]


def test_following_survives_a_short_outage() -> None:
    outage = [httpx.ConnectError("refused"), httpx.Response(503, headers={"Retry-After": "5"}), httpx.ReadTimeout("slow")]
    handle, _ = answering(edit_view("running", 1), *outage, edit_view("succeeded", 2))
    assert [v["state"] for v in client_of(handle).follow(f"{URL}/edits/e_1")] == ["running", "succeeded"]


def test_after_a_long_outage_following_gives_up_and_names_the_edit() -> None:
    def unreachable(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    slept: list[float] = []
    with pytest.raises(ServiceError, match="/edits/e_1"):
        list(client_of(unreachable, slept).follow(f"{URL}/edits/e_1"))
    assert MAX_OUTAGE_S - 1 <= sum(slept) <= MAX_OUTAGE_S + 1


def test_an_outage_is_as_long_as_it_takes_to_notice_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service behind a firewall that drops packets answers nothing for 30 s, again and again."""
    now = [0.0]
    monkeypatch.setattr("cli.client.time.monotonic", lambda: now[0])

    def silent(_request: httpx.Request) -> httpx.Response:
        now[0] += 30
        raise httpx.ReadTimeout("slow")

    with pytest.raises(ServiceError, match="/edits/e_1"):
        list(client_of(silent).follow(f"{URL}/edits/e_1"))
    assert now[0] <= MAX_OUTAGE_S + 30


def test_too_many_requests_are_waited_out_for_as_long_as_they_last() -> None:
    slept: list[float] = []
    busy = [httpx.Response(429, headers={"Retry-After": "9"}, json={"detail": "slowly", "code": "rate_exceeded"})] * 20
    handle, _ = answering(*busy, edit_view("succeeded", 2))
    assert [v["state"] for v in client_of(handle, slept).follow(f"{URL}/edits/e_1")] == ["succeeded"]
    assert slept == [9.0] * 20


def test_an_unknown_edit_fails_at_once() -> None:
    handle, requests = answering(httpx.Response(404, json={"detail": "No such edit.", "code": "not_found"}))
    with pytest.raises(ServiceError, match="No such edit"):
        list(client_of(handle).follow(f"{URL}/edits/e_1"))
    assert len(requests) == 1


def test_a_download_returns_the_bytes_and_reports_an_expired_link() -> None:
    handle, _ = answering(httpx.Response(200, content=b"png"), httpx.Response(403, json={"detail": "the link has run out"}))
    client = client_of(handle)
    assert client.download(f"{URL}/files/a") == b"png"
    with pytest.raises(ServiceError, match="the link has run out"):
        client.download(f"{URL}/files/a")


def test_only_a_succeeded_edit_has_a_result() -> None:
    assert result_of(view("succeeded"))["state"] == "succeeded"
    with pytest.raises(EditFailed, match="the edit was canceled: the service gave no reason"):
        result_of(view("canceled", error=None))
    with pytest.raises(EditFailed, match="the edit failed: the numbers left the range"):
        result_of(view("failed", error={"message": "the numbers left the range"}))


def test_the_api_key_goes_to_the_service_only_and_not_to_the_object_store() -> None:
    handle, requests = answering(
        httpx.Response(202, headers={"Location": "/edits/e_1"}), edit_view("succeeded", 1), httpx.Response(200, content=b"picture")
    )
    client = EditClient(URL, api_key="s2e_secret", http=httpx.Client(transport=httpx.MockTransport(handle)))
    list(client.follow(client.post({"prompt": "x"}, {})))
    client.download("http://store.test/result?signature=1")
    assert [one.headers.get("Authorization") for one in requests] == ["Bearer s2e_secret", "Bearer s2e_secret", None]


@pytest.mark.parametrize("key", ["s2e_1_\nabc", "schlüssel", "two words"])
def test_a_text_that_is_no_key_is_named_at_once(key: str) -> None:
    with pytest.raises(ServiceError, match="no key has"):
        EditClient(URL, api_key=key)


def test_the_line_end_of_a_file_is_no_part_of_the_key() -> None:
    handle, requests = answering(httpx.Response(202, headers={"Location": "/edits/e_1"}))
    client = EditClient(URL, api_key="s2e_1_abc\n", http=httpx.Client(transport=httpx.MockTransport(handle)))
    client.post({"prompt": "x"}, {})
    assert requests[0].headers["authorization"] == "Bearer s2e_1_abc"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "localhost:8000",
        "ftp://127.0.0.1:8000",
        "http://127.0.0.1:port",
        "http://",
        "http://h?x=1",
        "http://h#x",
        "http://\udcff",
        "http://h/\udcff",
    ],
)
def test_a_url_that_is_none_is_no_missing_service(url: str) -> None:
    with pytest.raises(ServiceError, match="is no address of a service"):
        EditClient(url)


def test_a_field_that_is_no_utf8_is_named_and_a_file_name_is_sent_as_far_as_it_is(tmp_path: Path) -> None:
    handle, requests = answering(httpx.Response(202, headers={"Location": "/edits/e_1"}))
    with pytest.raises(ServiceError, match=r"the source_prompt contains '.udcff', which is no text in UTF-8") as refused:
        client_of(handle).post({"prompt": "x", "source_prompt": "a \udcff"}, {})
    assert (refused.value.code, requests) == ("request_invalid", [])
    photo = tmp_path / "me\udcff.jpg"
    photo.write_bytes(b"photo")
    client_of(handle).post({"prompt": "x"}, {"image": photo})
    assert b'filename="me?.jpg"' in requests[0].read()


def test_other_texts_that_are_no_utf8_cannot_be_sent_either() -> None:
    client = client_of(lambda _: httpx.Response(200, json={}))
    with pytest.raises(ServiceError, match="can't be sent"):
        client.rename("/identities/c_1", "\udcff")


def test_a_request_that_cannot_be_sent_is_no_missing_service_and_not_sent_again() -> None:
    handle, requests = answering(httpx.LocalProtocolError("Illegal header value"))
    with pytest.raises(ServiceError, match="the request can't be sent") as refused:
        client_of(handle).begin("/edits", {"prompt": "x"}, {}, "a key")
    assert (refused.value.code, len(requests)) == ("request_invalid", 1)


@pytest.mark.parametrize("url", ["HTTP://127.0.0.1:8000/", " https://photos.example.com/v1/edits ", "http://[::1]:8000"])
def test_these_are_addresses(url: str) -> None:
    EditClient(url)


@pytest.mark.parametrize("user", ["ann smith", "änn", "ann\n", "a" * 65])
def test_a_text_that_is_no_user_is_named_at_once(user: str) -> None:
    with pytest.raises(ServiceError, match="is no user"):
        EditClient(URL, user=user)


class TestProxies:
    @pytest.fixture(autouse=True)
    def _proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy that does not answer."""
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
    def test_this_machine_is_asked_directly(self, host: str) -> None:
        with EditClient(f"http://{host}:8000") as client:
            url = httpx.URL(f"http://{host}:8000/edits")
            assert client._http._transport_for_url(url) is client._http._transport
            assert client._http._transport_for_url(httpx.URL("http://example.com")) is not client._http._transport

    def test_the_service_finds_itself(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

            def serve() -> None:
                with listener.accept()[0] as peer:
                    peer.recv(65_536)
                    peer.sendall(answer)

            threading.Thread(target=serve, daemon=True).start()
            with new_probe() as http:
                assert answers(http, f"http://127.0.0.1:{listener.getsockname()[1]}/readyz")
