"""Counts of one process, and their export. Labels are reasons, never identities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class Counts:
    """What the control half counts."""

    def __init__(self) -> None:
        self.seats: Counter[str] = Counter()
        self.offers: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.handshakes = 0
        self.disconnects: Counter[str] = Counter()
        self.failures = 0


GAUGES = {
    "sfu_rooms": "Rooms whose seat this SFU holds.",
    "sfu_participants": "Members with a transport.",
    "sfu_tracks": "Tracks that members publish.",
    "sfu_bus_up": "1 while the bus answers and delivers.",
    "sfu_draining": "1 while the process drains.",
    "sfu_udp_answers": "1 while the UDP port answered the latest check.",
    "sfu_loop_lag_seconds": "How late the event loop ran its latest timer.",
}
PLANE = {
    "media_in": "Authentic media packets received.",
    "media_out": "Media packets sent, repeated ones among them.",
    "bytes_out": "Bytes of media datagrams sent.",
    "repairs_out": "Packets sent again.",
    "padding_out": "Padding packets sent.",
    "strangers": "Datagrams from nobody known, or of no protocol of an SFU's.",
    "rejected": "Packets that were not authentic, were seen before, or made no sense.",
    "key_frame_requests": "Requests for key frames sent to publishers.",
    "unsent": "Datagrams that the kernel did not take.",
    "offload_refused": "Batches that the kernel could not cut by itself.",
}


class Exporter(Collector):
    """Turns counts and gauges into metric families."""

    def __init__(
        self, counts: Counts, gauges: Callable[[], dict[str, float]], plane: Callable[[], Mapping[str, int]]
    ) -> None:
        self._counts = counts
        self._gauges = gauges
        self._plane = plane

    def collect(self) -> Iterable[Metric]:
        """All families."""
        counts = self._counts
        for name, value in self._gauges().items():
            yield GaugeMetricFamily(name, GAUGES[name], value=value)
        yield _labelled("sfu_seats", "Seats by what became of them.", "event", counts.seats)
        yield _labelled("sfu_offers", "Offers by their outcome.", "outcome", counts.offers)
        yield _labelled("sfu_dropped_posts", "Posts of signaling not heeded.", "reason", counts.dropped)
        yield _labelled("sfu_refused_orders", "Orders that the plane refused.", "reason", counts.refused)
        yield _labelled(
            "sfu_disconnects", "Transports that ended by themselves.", "why", counts.disconnects
        )
        yield CounterMetricFamily("sfu_handshakes", "Handshakes completed.", value=counts.handshakes)
        yield CounterMetricFamily("sfu_failures", "Background work that failed.", value=counts.failures)
        plane = self._plane()
        for name, text in PLANE.items():
            if name in plane:
                yield CounterMetricFamily(f"sfu_{name}", text, value=plane[name])


def _labelled(name: str, text: str, label: str, values: Counter[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def registry(
    counts: Counts, gauges: Callable[[], dict[str, float]], plane: Callable[[], Mapping[str, int]]
) -> CollectorRegistry:
    """A registry with all metrics of the process.

    Args:
        counts: of the control half.
        gauges: read at each scrape; their names are those of ``GAUGES``.
        plane: its latest counts.
    """
    made = CollectorRegistry()
    made.register(Exporter(counts, gauges, plane))
    return made
