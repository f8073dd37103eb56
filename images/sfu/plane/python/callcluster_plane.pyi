"""The packet plane of the SFU. Orders return at once; what came of them, and all else, comes with drain().

News are tuples:
("answer", token, refusal or None)   name-taken, unknown-name, ssrc-spent, no-such-encoding, too-many
("connected", peer, SRTP profile)
("disconnected", peer, why)          closed, wrong-fingerprint, handshake-failed, silent
("encoding_live", track, encoding)
("switched", leg, encoding)          what the subscriber sees from now on
("paused", leg)                      its link does not carry even the lowest encoding; "switched" ends it
("estimate", peer, bits per second)  of the link to the client, all datagrams together
("loudness", track, decibels)        above silence, five times a second while somebody speaks; 0 at the end
("statistics", token, counts)
("lost", count)                      news that nobody fetched in time
("failed",)                          the socket or the plane failed; its thread has ended
"""

from typing import Any

class Extensions:
    """Header extension ids of one session description; 0 is "not negotiated"."""

    def __init__(
        self,
        *,
        mid: int = 0,
        rid: int = 0,
        repaired_rid: int = 0,
        transport_sequence: int = 0,
        audio_level: int = 0,
        dependency: int = 0,
    ) -> None: ...

class Plane:
    """One UDP port with everything behind it, on a thread of its own.

    Raises ValueError for a certificate or an address that cannot be used, OSError when the port is taken,
    and RuntimeError for every call after close(). Take the reader of fileno() off the loop before close().
    """

    def __init__(
        self,
        bind: str,
        *,
        certificate: bytes,
        private_key: bytes,
        buffer: int,
        offload: bool,
        max_peers: int,
        health: tuple[bytes, bytes] | None = None,
    ) -> None: ...
    @property
    def port(self) -> int: ...
    def fileno(self) -> int: ...
    def drain(self) -> list[tuple[Any, ...]]: ...
    def add_peer(
        self,
        token: int,
        peer: int,
        *,
        ufrag: bytes,
        password: bytes,
        fingerprint: bytes,
        extensions: Extensions,
    ) -> None: ...
    def remove_peer(self, token: int, peer: int) -> None: ...
    def restart_ice(self, token: int, peer: int, *, ufrag: bytes, password: bytes) -> None: ...
    def set_extensions(self, token: int, peer: int, extensions: Extensions) -> None: ...
    def add_track(
        self,
        token: int,
        track: int,
        peer: int,
        *,
        mid: bytes,
        codec: str,
        payload_type: int,
        rtx_payload_type: int | None,
        encodings: list[tuple[bytes | None, int | None, int | None]],
    ) -> None: ...
    def remove_track(self, token: int, track: int) -> None: ...
    def add_leg(
        self,
        token: int,
        leg: int,
        track: int,
        peer: int,
        *,
        mid: bytes,
        ssrc: int,
        payload_type: int,
        rtx: tuple[int, int] | None,
        highest: int | None,
        priority: int = 0,
    ) -> None: ...
    def aim_leg(self, token: int, leg: int, highest: int | None, priority: int = 0) -> None:
        """What a subscriber wants of a track; the plane chooses what it gets, by what the link carries.

        highest: the best encoding that is of use, from 0, the lowest quality; above the track's best (at
        most 255) means that best; None pauses. priority: where the link is short, higher goes first (0 to
        255); audio goes before all video.
        """

    def remove_leg(self, token: int, leg: int) -> None: ...
    def request_key_frame(self, token: int, track: int) -> None: ...
    def ask_statistics(self, token: int) -> None: ...
    def close(self) -> None: ...
