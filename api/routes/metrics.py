"""`/metrics` for Prometheus: requests of this process and the state of the queue. No metric names a tenant or user."""

from __future__ import annotations

import hmac
import math
from collections.abc import Iterator

from fastapi import APIRouter, HTTPException, Request, Response
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from api.deps import ServicesDep
from api.guard.auth import TENANT
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.record import Owner
from s2edit_jobs.records.set_aside import set_aside_counts
from s2edit_jobs.stores.job_store import HOUSEKEEPER

BUCKETS_S = (0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60)
"""Histogram buckets: polls take milliseconds, long polls up to a minute."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PROBE = Owner(TENANT, "metrics")
router = APIRouter(include_in_schema=False)


class Metrics:
    """The metrics of one app."""

    def __init__(self, services: Services) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_QueueCollector(services))
        self._seconds = Histogram(
            "s2edit_http_request_duration_seconds",
            "Seconds until the response was sent completely, for an event stream until its end",
            ("method", "route", "status"),
            buckets=BUCKETS_S,
            registry=self.registry,
        )

    def answered(self, method: str, route: str | None, status: int | None, seconds: float) -> None:
        """Count one response. `route` is the path template, so that no id becomes a label; None if no route matched."""
        known = method if method in METHODS else "other"  # callers could invent any number of methods
        self._seconds.labels(known, route or "none", str(status or 0)).observe(seconds)


class _QueueCollector(Collector):
    """Reads the job store, and what this process has set aside, at every scrape."""

    def __init__(self, services: Services) -> None:
        self._store = services.store

    def collect(self) -> Iterator[Metric]:
        aside = CounterMetricFamily(
            "s2edit_set_aside", "Stored items that this process could not read and set aside, by kind", labels=("kind",)
        )
        for kind, count in sorted(set_aside_counts().items()):
            aside.add_metric((kind,), count)
        yield aside
        try:
            # Bounds of 0, so this takes no slot.
            unfinished = self._store.admission.take_slot(PROBE, "metrics", of_owner=0, of_tenant=0, in_all=0).in_all
            running = self._store.estimates.prospect(PROBE, "metrics").running
            refusals = self._store.usage.refusals()
            alive_s = self._store.tasks.last_alive_s(HOUSEKEEPER)
        except ServiceUnavailable:
            yield GaugeMetricFamily("s2edit_job_store_up", "Whether the job store answers", 0)
            return
        yield GaugeMetricFamily("s2edit_job_store_up", "Whether the job store answers", 1)
        yield GaugeMetricFamily("s2edit_jobs_unfinished", "Queued and running jobs, without those of test mode", unfinished)
        yield GaugeMetricFamily("s2edit_jobs_running", "Running jobs, without those of test mode", running)
        yield GaugeMetricFamily(
            "s2edit_housekeeper_age_seconds",
            "Seconds since any housekeeper last completed an iteration; +Inf if none has",
            math.inf if alive_s is None else alive_s,
        )
        refused = CounterMetricFamily(
            "s2edit_policy_refusals",
            "Requests and results that the policy or the safety model refused, by field",
            labels=("field",),
        )
        for field, count in sorted(refusals.items()):
            refused.add_metric((field,), count)
        yield refused

    def describe(self) -> list[Metric]:
        """Return nothing, so that the registry does not read the job store when the app starts."""
        return []


@router.get("/metrics")
def get_metrics(request: Request, services: ServicesDep) -> Response:
    """Answer requests with `S2EDIT_METRICS_TOKEN`. Others get a 404, also from this machine: a proxy makes anybody look local."""
    if (token := services.settings.metrics_token) is None:
        raise HTTPException(404, "there are no metrics until the operator sets S2EDIT_METRICS_TOKEN")
    sent = request.headers.get("authorization", "")
    if not hmac.compare_digest(sent.encode(), f"Bearer {token.get_secret_value()}".encode()):
        raise HTTPException(404)
    metrics: Metrics = request.app.state.metrics
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})
