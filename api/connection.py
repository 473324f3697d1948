"""The HTTP protocol of the API's uvicorn, with a deadline for the heads of requests.

uvicorn waits for a head for ever: it closes an idle connection only until the first byte of the next request comes. Name this class
when you start it: `uvicorn --http api.connection:Connection …`. Bodies have a deadline of their own (`api.guard.slow_bodies`).
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 15.0
"""Seconds for the head of a request, counted from the beginning of the connection or the end of the response before."""


class Connection(H11Protocol):
    """A connection that ends if no complete head arrives in time, whatever else does."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering():
            self._cancel_timer()

    def on_response_complete(self) -> None:
        self._expect_head()
        super().on_response_complete()  # may begin with a request that was sent ahead
        if self._is_answering():
            self._cancel_timer()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        self._cancel_timer()
        self._head_timer = self.loop.call_later(HEAD_S, self._close)

    def _cancel_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
