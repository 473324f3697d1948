"""The receiver of a storm distinguishes forged webhooks from incomplete ones."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook

from lab.storm.receiver import Receiver

BODY = '{"id": "e_1"}'


def headers(secret: str, name: str) -> dict[str, str]:
    now = datetime.now(UTC)
    signature = Webhook(secret).sign(name, now, BODY)
    return {"webhook-id": name, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}


def test_signed_and_forged_webhooks_are_counted_separately() -> None:
    with Receiver() as receiver:
        signed = headers(receiver.secret, "m_1")
        assert [httpx.post(receiver.url, content=BODY, headers=signed).status_code for _ in range(2)] == [204, 204]
        assert httpx.post(receiver.url, content=BODY + " ", headers=signed).status_code == 400
        assert (dict(receiver.received), receiver.forged) == ({"m_1": 2}, 1)


def test_an_incomplete_webhook_does_not_count() -> None:
    with Receiver() as receiver:
        port = urlsplit(receiver.url).port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.sendall(b"POST /hook HTTP/1.1\r\nContent-Length: 100\r\n\r\n" + BODY.encode())
        time.sleep(0.1)
        assert httpx.post(receiver.url, content=BODY, headers=headers(receiver.secret, "m_2")).status_code == 204
        assert (dict(receiver.received), receiver.forged) == ({"m_2": 1}, 0)
