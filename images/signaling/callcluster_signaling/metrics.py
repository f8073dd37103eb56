"""Counts of one process, and their export. Labels are types and reasons, never identities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from callcluster_common.messages.types import CloseCode
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class Counts:
    """Plain numbers: counting must cost next to nothing for each frame."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.received_bytes = 0
        self.delivered = 0
        self.sealed = 0
        self.errors: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.refused_handshakes: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self.joins: Counter[str] = Counter()
        self.resumes: Counter[str] = Counter()
        self.gaps = 0
        self.restored = 0
        self.turn_pushes = 0
        self.goaways = 0

    def close(self, code: int) -> None:
        """A socket closed; codes that clients make up count as one."""
        self.closed[str(code) if code in CLOSE_CODES else "other"] += 1


CLOSE_CODES = frozenset({1000, 1001, 1002, 1006, 1007, 1009, 1011, *CloseCode})
GAUGES = {
    "sig_connections": "Open WebSockets.",
    "sig_sessions": "Sessions that said hello or resumed.",
    "sig_participants": "Sessions in a room.",
    "sig_rooms": "Rooms with a participant on this pod.",
    "sig_rooms_with_sfu": "Of these, rooms that an SFU serves.",
    "sig_rooms_without_sfu": "Of these, rooms that an SFU is called for, whether there are any or not.",
    "sig_bus_up": "1 while the bus answers and delivers.",
    "sig_bus_probe_rtt_seconds": "Latest time from publishing a probe to receiving it.",
    "sig_bus_queue": "Publishes that wait for the bus.",
    "sig_draining": "1 while the pod drains.",
    "sig_loop_lag_seconds": "How late the event loop ran its latest timer.",
}


class Exporter(Collector):
    """Turns counts and gauges into metric families."""

    def __init__(self, counts: Counts, gauges: Callable[[], dict[str, float]]) -> None:
        self._counts = counts
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """All families."""
        counts = self._counts
        for name, value in self._gauges().items():
            yield GaugeMetricFamily(name, GAUGES[name], value=value)
        yield _labelled("sig_received_frames", "Frames from clients.", "type", counts.received)
        yield _labelled("sig_errors", "Error frames sent.", "code", counts.errors)
        yield _labelled("sig_closed", "Sockets closed, by code.", "code", counts.closed)
        yield _labelled(
            "sig_refused_handshakes", "Handshakes refused.", "reason", counts.refused_handshakes
        )
        yield _labelled("sig_cut", "Connections cut off without a close frame.", "reason", counts.cut)
        yield _labelled("sig_joins", "Joins.", "result", counts.joins)
        yield _labelled("sig_resumes", "Resumes.", "result", counts.resumes)
        for name, text, value in (
            ("sig_received_bytes", "Bytes of frames from clients.", counts.received_bytes),
            ("sig_delivered_frames", "Durable frames written to clients.", counts.delivered),
            ("sig_sealed_frames", "Frames of the ephemeral lane written to clients.", counts.sealed),
            ("sig_bus_gaps", "Times that history had to fill a gap.", counts.gaps),
            ("sig_rooms_rebuilt", "Rooms rebuilt after a loss of data.", counts.restored),
            ("sig_turn_pushes", "TURN credentials pushed.", counts.turn_pushes),
            ("sig_goaways", "Connections asked to go elsewhere.", counts.goaways),
        ):
            yield CounterMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, values: Counter[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def registry(counts: Counts, gauges: Callable[[], dict[str, float]]) -> CollectorRegistry:
    """A registry with all metrics of the process."""
    made = CollectorRegistry()
    made.register(Exporter(counts, gauges))
    return made
