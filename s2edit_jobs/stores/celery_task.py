"""What a worker changes in Celery. Only workers import this module, by the names that `celery_app` gives to Celery."""

from __future__ import annotations

from typing import Any

import structlog
from celery import Task
from celery.app.amqp import AMQP
from celery.worker.request import Request
from kombu.connection import Connection
from kombu.transport import redis

log = structlog.get_logger(__name__)


class NotificationRequest(Request):  # type: ignore[misc]  # celery has no types
    """A message that a worker handles.

    Celery only logs that a message could not be acknowledged because Redis was away. The worker would then wait for ever with a
    full prefetch, listening to no connection. An error that is raised makes it connect again.
    """

    acknowledged: bool

    def acknowledge(self) -> None:
        if not self.acknowledged:
            self.message.ack()
            self.acknowledged = True


class Notification(Task):  # type: ignore[misc]
    """A task whose worker survives the loss of its connection at any moment."""

    Request = NotificationRequest


class TolerantChannel(redis.Channel):
    """A channel that drops what is no message. Celery would end the worker, and each such item the next one."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.error("the queue held something that is no message", action="message_dropped", error=type(error).__name__)
            return True


class TolerantTransport(redis.Transport):
    Channel = TolerantChannel


class TolerantConnection(Connection):
    def get_transport_cls(self) -> type[redis.Transport]:
        return TolerantTransport


class TolerantMessages(AMQP):  # type: ignore[misc]
    """Celery's connections to Redis, through `TolerantChannel`."""

    Connection = TolerantConnection
