"""The Celery task of a notification. Only workers import this module, by the name that `celery_app` gives to Celery."""

from __future__ import annotations

from celery import Task
from celery.worker.request import Request


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
