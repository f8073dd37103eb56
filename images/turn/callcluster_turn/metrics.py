"""The agent's metrics: counts only, no address, user or key."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from callcluster_turn.coturn_log import Allocated, Event, Refused, Trouble, Usage

PREFIX = "callcluster_turn_"


class Metrics:
    """One registry and what stands in it. Counters live as long as the agent, over restarts of coturn."""

    def __init__(self, coturn_pid: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._allocations = self._counter("allocations", "Allocations made, those of self-checks included")
        self._refused = self._counter("refused_requests", "Requests answered with an error", "code")
        self._trouble = self._counter("coturn_trouble", "Errors and warnings in coturn's output", "kind")
        legs = ("leg", "direction")
        self._packets = self._counter(
            "relayed_packets", "Packets of sessions, counted every 4096 and at the end", *legs
        )
        self._bytes = self._counter(
            "relayed_bytes",
            "Bytes of sessions, counted every 4096 packets and at the end",
            *legs,
        )
        self.restarts = self._counter("coturn_restarts", "Times that coturn ended unasked")
        self.key_set_errors = self._counter("key_set_errors", "Unusable key sets")
        self.certificate_errors = self._counter("certificate_errors", "Unusable certificates or keys")
        self.self_check_failures = self._counter("self_check_failures", "Self-checks that failed")
        self.revoked_sessions = self._counter("revoked_sessions", "Sessions of clients ended by revocation")
        ProcessCollector(
            namespace=PREFIX + "coturn", pid=lambda: coturn_pid() or "none", registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read when the metrics are."""
        Gauge(PREFIX + name, text, registry=self.registry).set_function(value)

    def count(self, event: Event) -> None:
        """Take an event of coturn's output."""
        match event:
            case Allocated():
                self._allocations.inc()
            case Refused(code):
                self._refused.labels(code).inc()
            case Trouble(kind):
                self._trouble.labels(kind).inc()
            case Usage(leg, received_packets, received_bytes, sent_packets, sent_bytes):
                self._packets.labels(leg, "received").inc(received_packets)
                self._packets.labels(leg, "sent").inc(sent_packets)
                self._bytes.labels(leg, "received").inc(received_bytes)
                self._bytes.labels(leg, "sent").inc(sent_bytes)
