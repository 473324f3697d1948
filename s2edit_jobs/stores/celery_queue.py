"""Celery as a doorbell: its one configuration, and the queue port on it.

The messages carry job ids only. Celery and Redis may lose or repeat them: leases, the object store and the reaper make that
harmless.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import ChannelError, OperationalError

from s2edit_jobs.records.errors import QueueUnavailable

QUEUE = "s2edit"
TASK = "s2edit.run_job"
VISIBILITY_TIMEOUT_S = 24 * 3600
"""Far above any job. A job whose worker died is found by its lease, within seconds, not by this."""


def celery_app(redis_url: str, *, timeout_s: float | None = None) -> Celery:
    """The one configuration of publishers and workers. `timeout_s` bounds every wait for Redis: for publishers."""
    app = Celery("s2edit", broker=broker_url(redis_url), set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_queues=[Queue(QUEUE)],  # type: ignore[no-untyped-call]
        task_create_missing_queues=False,
        task_ignore_result=True,  # results are in the object store
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_pool="solo",  # a fork would share the device's context; one process serves one device
        worker_concurrency=1,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # a blip of Redis costs no job: the lease decides
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "deadletter_queue": QUEUE,  # kombu's routing table is in Redis too: else rings would be dropped after FLUSHALL
        },
    )
    if timeout_s is not None:
        _publish_fast(app, timeout_s)
    return app


def broker_url(redis_url: str) -> str:
    """The same Redis as kombu writes it: unix sockets are `redis+socket://`."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = dict(parse_qsl(parts.query)).get("db", "0")
    return f"redis+socket://{parts.path}?virtual_host={database}"


def _publish_fast(app: Celery, timeout_s: float) -> None:
    """Fail rather than wait. A worker must not have these limits: it waits for messages."""
    app.conf.broker_transport_options |= {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "max_retries": 0,
    }
    app.conf.update(task_publish_retry=False, broker_connection_timeout=timeout_s)


class CeleryQueue:
    """For any number of threads. No call waits longer than twice `timeout_s`: to connect, and for the answer."""

    def __init__(self, redis_url: str, *, timeout_s: float = 0.12) -> None:
        self._app = celery_app(redis_url, timeout_s=timeout_s)

    def ring(self, job_id: str) -> None:
        try:
            self._app.send_task(TASK, args=(job_id,), retry=False)
        except OperationalError as error:
            raise QueueUnavailable("Redis does not take the message") from error

    def waiting(self) -> int:
        with self._app.connection_or_acquire() as connection:
            try:
                return int(connection.default_channel.queue_declare(QUEUE, passive=True).message_count)
            except ChannelError:  # an empty list does not exist in Redis
                return 0
            except (OperationalError, *connection.recoverable_connection_errors) as error:
                raise QueueUnavailable("Redis does not tell the length of the queue") from error
