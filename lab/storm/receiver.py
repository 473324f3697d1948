"""The app's own server in a storm: it takes webhooks, checks their signature, and counts them."""

from __future__ import annotations

import base64
import http.server
import secrets
import threading
from collections import Counter
from types import TracebackType

from standardwebhooks import Webhook, WebhookVerificationError


class Receiver:
    """`with Receiver() as receiver:` answers at `receiver.url` until the end."""

    def __init__(self) -> None:
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.told: Counter[str] = Counter()  # by webhook-id
        self.forged = 0
        receiver = self

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:  # its sender was killed over it
                    return
                self.send_response(204 if receiver.take(body, dict(self.headers)) else 400)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: a storm says enough."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def take(self, body: bytes, headers: dict[str, str]) -> bool:
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.forged += 1
            return False
        self.told[{name.lower(): value for name, value in headers.items()}["webhook-id"]] += 1
        return True

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
