"""The metrics for Prometheus: names, help, and their text format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from provctl import __version__

if TYPE_CHECKING:
    from provctl.api.http.backend import SchedulerBackend


CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics(Collector):
    """Creates the text; one for each app."""

    def __init__(self, service: SchedulerBackend) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all current metrics."""
        return bytes(generate_latest(self._registry))

    def describe(self) -> Iterator[Metric]:
        """Ask the backend for nothing before the first scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as families."""
        stats = self._service.stats()
        build = GaugeMetricFamily(
            "provctl_build_info", "Version of the scheduler", labels=["version"]
        )
        build.add_metric([__version__], 1)
        yield build
        yield _gauge("provctl_runs", "Unfinished runs", "status", stats.runs)
        yield _gauge("provctl_tasks", "Tasks of unfinished runs", "status", stats.tasks)
        yield GaugeMetricFamily(
            "provctl_tasks_running", "Running attempts", value=stats.running
        )
        yield GaugeMetricFamily(
            "provctl_task_slots",
            "Maximum number of attempts in parallel",
            value=stats.slots,
        )
        used = {name: pair[0] for name, pair in stats.pools.items()}
        size = {name: pair[1] for name, pair in stats.pools.items()}
        yield _gauge("provctl_pool_used", "Units of each pool in use", "pool", used)
        yield _gauge("provctl_pool_capacity", "Capacity of each pool", "pool", size)
        yield GaugeMetricFamily(
            "provctl_schedules", "Number of schedules", value=len(stats.schedules)
        )
        times = {name: at for name, at in stats.schedules.items() if at is not None}
        name = "provctl_schedule_next_timestamp_seconds"
        yield _gauge(name, "Next time of each schedule", "schedule", times)
        words = "Runs finished since the scheduler started"
        yield _counter("provctl_runs_finished", words, stats.runs_finished)
        words = "Attempts finished since the scheduler started"
        yield _counter("provctl_attempts_finished", words, stats.attempts_finished)
        yield CounterMetricFamily(
            "provctl_events",
            "Journal events written since the scheduler started",
            value=stats.events,
        )


def _gauge(name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _counter(name: str, words: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=["outcome"])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
