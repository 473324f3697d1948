"""The webhook receiver of a storm: it checks the signature of every webhook and counts them."""

from __future__ import annotations

import base64
import http.server
import secrets
import threading
from collections import Counter
from types import TracebackType

from standardwebhooks import Webhook, WebhookVerificationError


class Receiver:
    """An HTTP server for webhooks at `receiver.url`, used as `with Receiver() as receiver:`."""

    def __init__(self) -> None:
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.received: Counter[str] = Counter()  # by webhook-id
        self.forged = 0
        receiver = self

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:  # the sender was killed while sending
                    return
                self.send_response(204 if receiver.verify(body, dict(self.headers)) else 400)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def verify(self, body: bytes, headers: dict[str, str]) -> bool:
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.forged += 1
            return False
        self.received[{name.lower(): value for name, value in headers.items()}["webhook-id"]] += 1
        return True

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
