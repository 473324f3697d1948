"""The receiver of a storm distinguishes forged webhooks from incomplete ones, and refuses the first tries of some messages."""

from __future__ import annotations

import json
import socket
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import pytest
from standardwebhooks import Webhook

from lab.storm import receiver as storm_receiver
from lab.storm.checks.history import WebhookTry
from lab.storm.receiver import ANSWERS, Receiver

BODY = json.dumps({"data": {"id": "e_1", "state": "succeeded"}})


def headers(secret: str, name: str) -> dict[str, str]:
    now = datetime.now(UTC)
    signature = Webhook(secret).sign(name, now, BODY)
    return {"webhook-id": name, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}


def post(receiver: Receiver, name: str) -> int:
    return httpx.post(receiver.url, content=BODY, headers=headers(receiver.secret, name), timeout=1).status_code


def test_signed_and_forged_webhooks_are_counted_separately() -> None:
    with Receiver() as receiver:
        signed = headers(receiver.secret, "m_1")
        assert [httpx.post(receiver.url, content=BODY, headers=signed).status_code for _ in range(2)] == [204, 204]
        assert httpx.post(receiver.url, content=BODY + " ", headers=signed).status_code == 400
        assert receiver.webhook_tries == [WebhookTry("e_1", "m_1", "succeeded", accepted=True)] * 2
        assert (receiver.reported, receiver.forged) == ({"e_1"}, 1)


def test_an_incomplete_webhook_does_not_count() -> None:
    with Receiver() as receiver:
        port = urlsplit(receiver.url).port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.sendall(b"POST /hook HTTP/1.1\r\nContent-Length: 100\r\n\r\n" + BODY.encode())
        time.sleep(0.1)
        assert post(receiver, "m_2") == 204
        assert (receiver.reported, receiver.forged) == ({"e_1"}, 0)


def test_some_messages_are_refused_or_not_answered_until_they_are_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storm_receiver, "SILENCE_S", 0.05)
    with Receiver() as receiver:
        for number, answers in enumerate(ANSWERS):
            for answer in answers:
                if answer is None:
                    with pytest.raises(httpx.TransportError):
                        post(receiver, f"m_{number}")
                else:
                    assert post(receiver, f"m_{number}") == answer
            assert not receiver.webhook_tries or not receiver.webhook_tries[-1].accepted or not answers
            assert post(receiver, f"m_{number}") == 204
        assert sum(one.accepted for one in receiver.webhook_tries) == len(ANSWERS)
        assert sum(not one.accepted for one in receiver.webhook_tries) == sum(map(len, ANSWERS))
