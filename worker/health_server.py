"""`/livez` and `/metrics` of a worker or housekeeper, from a thread that answers while the others are busy."""

from __future__ import annotations

import hmac
import ipaddress
import threading
from collections.abc import Callable, Iterable, Sequence
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from pydantic import SecretStr

from s2edit_jobs.access.host_names import host_name, is_unowned
from s2edit_jobs.bootstrap import NotConfigured

TIMEOUT_S = 5.0
"""Seconds that one request may take to arrive."""
FOREIGN = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_ORIGIN")
"""Headers of requests that come from another machine through a proxy, or from a web page."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: probes come every few seconds."""


class HealthServer:
    """Listens on `port` of all interfaces. `problems` returns the reasons why this process no longer works.

    `/livez` answers everybody: 200, or 503 with the problems. `/metrics` shows `registry` to requests with `token` or, if there is
    none, to programs on this machine. Raise `NotConfigured` if the port is taken; `setting` names it.
    """

    def __init__(
        self,
        port: int,
        problems: Callable[[], Sequence[str]],
        registry: CollectorRegistry,
        *,
        token: SecretStr | None,
        setting: str,
    ) -> None:
        self._problems = problems
        self._token = token
        self._metrics = make_wsgi_app(registry)
        try:
            self._server = make_server("", port, self._answer, _Server, _Handler)
        except OSError as error:
            raise NotConfigured(f"can't listen on port {port} ({error.strerror}): give {setting} a free port") from error
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = request["PATH_INFO"]
        if path == "/metrics" and self._may_read(request):
            return list(self._metrics(request, start))
        if path != "/livez":
            return _text(start, "404 Not Found", "there are /livez and /metrics")
        problems = self._problems()
        return _text(start, "503 Service Unavailable", "; ".join(problems)) if problems else _text(start, "200 OK", "ok")

    def _may_read(self, request: dict[str, Any]) -> bool:
        if self._token is None:
            if any(name in request for name in FOREIGN) or not is_unowned(host_name(request.get("HTTP_HOST", ""))):
                return False
            return ipaddress.ip_address(request["REMOTE_ADDR"]).is_loopback
        sent: str = request.get("HTTP_AUTHORIZATION", "")
        return hmac.compare_digest(sent.encode(), f"Bearer {self._token.get_secret_value()}".encode())


def _text(start: Callable[..., Any], status: str, text: str) -> list[bytes]:
    start(
        status,
        [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")],
    )
    return [f"{text}\n".encode()]
