"""`/metrics` for Prometheus: how requests went in this process, and how the queue stands. It names no tenant and no user."""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from fastapi import APIRouter, HTTPException, Request, Response
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from api.deps import ServicesDep
from api.guard.auth import TENANT, Asked
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.record import Owner

SECONDS = (0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60)
"""Bounds of the counts: a status is answered in milliseconds, and held back for up to a minute where that is preferred."""
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
NOBODY = Owner(TENANT, "metrics")
router = APIRouter(include_in_schema=False)


class Metrics:
    """Of one app."""

    def __init__(self, services: Services) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Queue(services))
        self._seconds = Histogram(
            "s2edit_http_request_duration_seconds",
            "Time until a request was answered in full; a stream counts when it ends",
            ("method", "route", "status"),
            buckets=SECONDS,
            registry=self.registry,
        )

    def answered(self, method: str, route: str | None, status: int | None, seconds: float) -> None:
        """`route` as it is written in the app, so that no id becomes a label; None where there is none."""
        known = method if method in METHODS else "other"  # a stranger may make up any number of them
        self._seconds.labels(known, route or "none", str(status or 0)).observe(seconds)


class _Queue(Collector):
    """Asks the job store each time that somebody wants to know."""

    def __init__(self, services: Services) -> None:
        self._store = services.store

    def collect(self) -> Iterator[Metric]:
        try:
            unfinished = self._store.take_place(NOBODY, "metrics", of_owner=0, in_all=0).in_all  # by these bounds none is taken
            running = self._store.prospect(NOBODY, "metrics").running
            refusals = self._store.refusals()
        except ServiceUnavailable:
            yield GaugeMetricFamily("s2edit_job_store_up", "Whether the job store answers", 0)
            return
        yield GaugeMetricFamily("s2edit_job_store_up", "Whether the job store answers", 1)
        yield GaugeMetricFamily("s2edit_jobs_unfinished", "Jobs that are not over, without those of test mode", unfinished)
        yield GaugeMetricFamily("s2edit_jobs_running", "Those of them that a worker is at", running)
        refused = CounterMetricFamily(
            "s2edit_policy_refusals", "What the policy or the safety model has refused, by the part of the edit", labels=("field",)
        )
        for field, count in sorted(refusals.items()):
            refused.add_metric((field,), count)
        yield refused

    def describe(self) -> list[Metric]:
        """Nothing is asked when the app starts."""
        return []


@router.get("/metrics")
def get_metrics(request: Request, services: ServicesDep) -> Response:
    """For whoever shows `S2EDIT_METRICS_TOKEN`; without one, for this machine's programs. For others there is nothing here."""
    token = services.settings.metrics_token
    sent = request.headers.get("authorization", "")
    if token is not None:
        allowed = hmac.compare_digest(sent.encode(), f"Bearer {token.get_secret_value()}".encode())
    else:
        asked = Asked.by(request, None, None)
        allowed = asked.local and asked.origin is None
    if not allowed:
        raise HTTPException(404)
    metrics: Metrics = request.app.state.metrics
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})
