"""The Prometheus metrics of workers and housekeepers. Their labels come from this code and its settings, never from a request.

No metric names a user or a tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from s2edit_jobs.records.estimate_keys import parts_of
from s2edit_jobs.records.set_aside import set_aside_counts

SHORT_S = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
"""Histogram buckets for phases: a phase takes milliseconds on a GPU with cached results, minutes on a CPU."""
WAIT_S = (0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600)
"""Histogram buckets for the wait in the queue."""

REGISTRY = CollectorRegistry()
"""Everything that this process shows."""

ATTEMPTS = Counter(
    "s2edit_attempts",
    "Attempts that ended, by how (succeeded, failed, canceled, handed_back, lease_lost, waits, erased) and why",
    ("end", "code"),
    registry=REGISTRY,
)
PHASE_S = Histogram(
    "s2edit_phase_duration_seconds",
    "Seconds that the phases of attempts took",
    ("phase", "preset"),
    buckets=SHORT_S,
    registry=REGISTRY,
)
DEVICE_S = Counter(
    "s2edit_device_seconds",
    "Seconds for which attempts have run, of shared passes of the UNet their shares only, without test mode",
    registry=REGISTRY,
)
QUEUE_WAIT_S = Histogram(
    "s2edit_queue_wait_seconds",
    "Seconds from the acceptance of a job until its first attempt, without test mode",
    buckets=WAIT_S,
    registry=REGISTRY,
)
ITERATIONS = Counter(
    "s2edit_housekeeping_iterations",
    "Iterations of a housekeeping thread, by result (ok, unavailable, failed)",
    ("loop", "result"),
    registry=REGISTRY,
)
WEBHOOKS = Counter(
    "s2edit_webhook_tries", "Tries to send a webhook, by result (delivered, repeated, given_up)", ("result",), registry=REGISTRY
)


def attempt_ended(end: str, code: str = "") -> None:
    """Count an attempt. `code` says why it ended so: a failure's code, or the reason for handing the job back."""
    ATTEMPTS.labels(end, code).inc()


def phases_measured(preset: str, seconds: Mapping[str, float]) -> None:
    """Take the phases of a successful attempt into account. `preset` is its `estimate_key`, whose numbers a request chooses."""
    name = "".join(parts_of(preset) or ("unknown",))
    for phase, spent in seconds.items():
        if phase != "total":
            PHASE_S.labels(phase, name).observe(spent)


class Readings(Collector):
    """A metric whose values are read at every scrape. `read` returns them by the value of `label`; none if it shows nothing."""

    def __init__(
        self,
        name: str,
        meaning: str,
        read: Callable[[], Iterable[tuple[str, float]]],
        label: str = "",
        family: Callable[..., GaugeMetricFamily | CounterMetricFamily] = GaugeMetricFamily,
    ) -> None:
        self._read = read
        self._make: Callable[[], GaugeMetricFamily | CounterMetricFamily]
        self._make = lambda: family(name, meaning, labels=(label,) if label else ())
        self._is_labelled = bool(label)

    def collect(self) -> Iterator[Metric]:
        made = self._make()
        for value_of_label, value in self._read():
            made.add_metric((value_of_label,) if self._is_labelled else (), value)
        yield made

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering reads nothing."""
        return []


REGISTRY.register(
    Readings(
        "s2edit_set_aside",
        "Stored items that this process could not read and set aside, by kind",
        lambda: sorted(set_aside_counts().items()),
        "kind",
        CounterMetricFamily,
    )
)
