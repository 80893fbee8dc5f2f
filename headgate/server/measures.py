"""What a model server tells Prometheus. Labels are bounded: one model and bundle, seven classes of answers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds

OUTCOMES = {
    "good": "answered",
    "invalid": "answered, beyond the bounds that the model declares (200)",
    "refused": "the caller's mistake (4xx)",
    "failed": "the model raised, died or broke its schema (500)",
    "late": "the deadline passed (504)",
    "overloaded": "the queue was full, or nothing could take from it (503)",
    "draining": "the server was going away (503)",
}
"""Classes of answered requests, by which `headgate_requests_total` counts."""


class Measures:
    """The series of one server, each there from the start so that a rate never misses its first step."""

    def __init__(self, model: str, bundle: str) -> None:
        self.registry = CollectorRegistry()
        requests = Counter(
            "headgate_requests", "Inference requests answered, by outcome", ["outcome"], registry=self.registry
        )
        self.requests = {outcome: requests.labels(outcome) for outcome in OUTCOMES}
        self.seconds = Histogram(
            "headgate_request_duration_seconds",
            "Time from an inference request to its answer",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge("headgate_requests_in_flight", "Requests not yet answered", registry=self.registry)
        self.waiting = Gauge("headgate_requests_waiting", "Requests waiting for a worker", registry=self.registry)
        self.ready = Gauge("headgate_ready", "1 when the readiness probe says yes", registry=self.registry)
        self.loads = Counter("headgate_worker_loads", "Workers that loaded their model", registry=self.registry)
        self.load_seconds = Gauge(
            "headgate_worker_load_seconds", "Duration of the newest load and warm-up", registry=self.registry
        )
        self.restarts = Counter("headgate_worker_restarts", "Workers lost and started anew", registry=self.registry)
        Info("headgate_server", "What this server serves", registry=self.registry).info(
            {"model": model, "bundle": bundle}
        )

    def answered(self, outcome: str, seconds: float) -> None:
        """Count one request."""
        self.requests[outcome].inc()
        self.seconds.observe(seconds)

    def exposition(self) -> bytes:
        """All series in Prometheus' text format."""
        return generate_latest(self.registry)
