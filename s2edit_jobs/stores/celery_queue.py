"""The notification queue on Celery, and Celery's configuration.

Messages carry only a job id. Celery and Redis may lose or repeat them: leases, the object store and the reaper make that harmless.
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
"""Seconds until an unacknowledged message is sent again: longer than any job. Expired leases reveal dead workers sooner."""


def celery_app(redis_url: str, *, timeout_s: float | None = None) -> Celery:
    """Return the Celery app of publishers and workers. Publishers set `timeout_s`, which bounds every wait for Redis."""
    app = Celery(
        "s2edit",
        broker=broker_url(redis_url),
        set_as_current=False,
        task_cls=f"{__package__}.celery_task:Notification",
        amqp=f"{__package__}.celery_task:TolerantMessages" if timeout_s is None else None,
    )
    app.conf.update(
        task_default_queue=QUEUE,
        task_queues=[Queue(QUEUE)],  # type: ignore[no-untyped-call]
        task_create_missing_queues=False,
        task_ignore_result=True,  # results are in the object store
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_pool="solo",  # a forked process would share the CUDA context; run one process per device
        worker_concurrency=1,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # a short outage of Redis must end no job: the lease decides
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # a Redis that refuses to write (full disk, demoted) must end no worker
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "deadletter_queue": QUEUE,  # kombu's routing table is in Redis: without this, messages are dropped after FLUSHALL
        },
    )
    if timeout_s is not None:
        _publish_fast(app, timeout_s)
    return app


def broker_url(redis_url: str) -> str:
    """Return the URL in kombu's form: kombu writes unix sockets as `redis+socket://`."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = dict(parse_qsl(parts.query)).get("db", "0")
    return f"redis+socket://{parts.path}?virtual_host={database}"


def _publish_fast(app: Celery, timeout_s: float) -> None:
    """Make publishing fail fast. Workers must not have these limits, because they wait for messages."""
    app.conf.broker_transport_options |= {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "max_retries": 0,
    }
    app.conf.update(task_publish_retry=False, broker_connection_timeout=timeout_s)


class CeleryQueue:
    """The queue port on Celery. Thread-safe. A call takes at most twice `timeout_s`: to connect, and to wait for the answer."""

    def __init__(self, redis_url: str, *, timeout_s: float = 0.12) -> None:
        self._app = celery_app(redis_url, timeout_s=timeout_s)

    def notify(self, job_id: str) -> None:
        try:
            self._app.send_task(TASK, args=(job_id,), retry=False)
        except OperationalError as error:
            raise QueueUnavailable("Redis did not accept the message") from error

    def waiting(self) -> int:
        with self._app.connection_or_acquire() as connection:
            try:
                return int(connection.default_channel.queue_declare(QUEUE, passive=True).message_count)
            except ChannelError:  # Redis has no empty lists
                return 0
            except (OperationalError, *connection.recoverable_connection_errors) as error:
                raise QueueUnavailable("Redis did not return the length of the queue") from error
