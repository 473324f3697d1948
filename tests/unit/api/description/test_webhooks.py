"""Webhook URLs in a request."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.stores.markers import OUTBOX
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.wire.test_bad_input import assert_problem

URL = "https://app.example.com:8443/hooks/s2edit?tenant=7"


@pytest.fixture
def sending(api: Api) -> Api:
    api.limit(webhook_secrets=SecretStr("whsec_" + "A" * 32))
    return api


def test_the_address_is_kept_and_the_outbox_knows_before_the_edit_is_accepted(sending: Api) -> None:
    edit_id = sending.edit(webhook_url=URL).json()["id"]
    assert Jobs(sending.services).spec(OWNER, edit_id).webhook_url == URL
    assert list(sending.artifacts.list(OUTBOX)) == [OUTBOX + edit_id]
    assert sending.store.records.get(OWNER, edit_id).webhook


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example.com/",
        "ftp://app.example.com/",
        "app.example.com",
        "https://",
        "https://ann:secret@app.example.com/",
        "https://app.example.com/#part",
        "https://app.example.com:0/",
        "https://app.example.com:99999/",
        "https://app.example.com/two words",
        "https://äpp.example.com/",
        "https://[::1",
        "https://[app]/",
        "https://a]b/",
        "https://\u2100.example.com/",
        "https://app..example.com/",
        f"https://{'a' * 64}.example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://app.localhost./",
        "https://192.168.1.7/",
        "https://169.254.169.254/",
    ],
)
def test_other_addresses_are_refused(sending: Api, url: str) -> None:
    before = sending.kept()
    assert_problem(sending.edit(webhook_url=url), 422, "webhook_invalid", "webhook_url")
    assert sending.kept() == before


@pytest.mark.parametrize("port", ["0", "99999", "x", "-1"])
def test_a_bad_port_is_named(sending: Api, port: str) -> None:
    answer = sending.edit(webhook_url=f"https://app.example.com:{port}/")
    assert "port" in assert_problem(answer, 422, "webhook_invalid", "webhook_url")["detail"]


def test_a_service_without_keys_says_so(api: Api) -> None:
    assert_problem(api.edit(webhook_url=URL), 422, "webhook_unavailable", "webhook_url")


def test_private_addresses_and_http_are_for_trying_things_out(sending: Api) -> None:
    sending.limit(webhook_allow_private=True)
    assert sending.edit(webhook_url="http://127.0.0.1:9/hook").status_code == 202
