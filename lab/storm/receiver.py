"""The webhook receiver of a storm: it checks every signature, refuses or ignores the first tries of some messages, and counts."""

from __future__ import annotations

import base64
import http.server
import json
import secrets
import threading
import time
from types import TracebackType

from standardwebhooks import Webhook, WebhookVerificationError

from lab.storm.checks.history import WebhookTry

ANSWERS = ((), (500,), (), (503, 500), (), (404,), (), (302, None), (), (None,))
"""How the first tries of a message are answered, in turns over the messages; None: not at all. All further tries are accepted."""
ACCEPTED = 204
SILENCE_S = 2.0
"""How long a try without an answer is held: longer than the sender waits."""


class Receiver:
    """An HTTP server for webhooks at `receiver.url`, used as `with Receiver() as receiver:`."""

    def __init__(self) -> None:
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.webhook_tries: list[WebhookTry] = []
        self.forged = 0
        self._tries: dict[str, list[int | None]] = {}  # answers that are still to come, by webhook-id
        self._lock = threading.Lock()
        receiver = self

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:  # the sender was killed while sending
                    return
                answer = receiver.answer(body, dict(self.headers))
                if answer is None:
                    time.sleep(SILENCE_S)
                    self.close_connection = True
                    return
                self.send_response(answer)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    @property
    def reported(self) -> set[str]:
        """The jobs whose end was reported by a message that was accepted."""
        return {one.job for one in self.webhook_tries if one.accepted}

    def answer(self, body: bytes, headers: dict[str, str]) -> int | None:
        """Return the status to answer with, or None for no answer."""
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.forged += 1
            return 400
        message, data = {name.lower(): value for name, value in headers.items()}["webhook-id"], json.loads(body)["data"]
        with self._lock:
            left = self._tries.setdefault(message, list(ANSWERS[len(self._tries) % len(ANSWERS)]))
            answer = left.pop(0) if left else ACCEPTED
            self.webhook_tries.append(WebhookTry(data["id"], message, data["state"], accepted=answer == ACCEPTED))
        return answer

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
