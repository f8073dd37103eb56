"""``callcluster-probe``: places a real encrypted call through a deployment and reports."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from callcluster_probe.e2ee.encode import CryptoError, unb64
from callcluster_probe.probe import probe
from callcluster_probe.report import as_json, as_text
from callcluster_probe.scenario import ProbeSettings

ROOM = re.compile(r"[A-Za-z0-9._~-]{1,128}")
MIN_SECRET_BYTES = 32
MOST_MEMBERS = 16
"""An offer must fit into a frame of signaling, and each member costs part of a core."""
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 where the call works, 1 where it does not, 130 after Ctrl-C; wrong arguments exit with 2.
    """
    settings, as_object = _parse(argv)
    try:
        report = asyncio.run(probe(settings))
    except KeyboardInterrupt:
        return INTERRUPTED
    if as_object:
        print(as_json(report))
    else:
        print(as_text(report), file=sys.stdout if report.ok else sys.stderr)
    return 0 if report.ok else 1


def _parse(argv: Sequence[str] | None) -> tuple[ProbeSettings, bool]:
    parser = argparse.ArgumentParser(
        prog="callcluster-probe",
        description=(
            "Place a real encrypted call through a deployment: headless members send each other video and "
            "audio, and one more without their room secret must decrypt nothing."
        ),
        epilog="Exit codes: 0 the call works, 1 it does not (one line says why), 2 wrong arguments.",
    )
    parser.add_argument(
        "--url", default="ws://localhost:3000", help="signaling server (default: %(default)s)"
    )
    parser.add_argument(
        "--members",
        type=int,
        choices=range(2, MOST_MEMBERS + 1),
        metavar="N",
        default=2,
        help=f"of the call: two directly, three to {MOST_MEMBERS} through the SFU (default: %(default)d)",
    )
    parser.add_argument("--relay", action="store_true", help="let media go through TURN only")
    parser.add_argument(
        "--turn-transport",
        choices=("udp", "tcp", "tls"),
        help="reach TURN over this transport only (default: the first that the server offers)",
    )
    parser.add_argument(
        "--duration", type=_seconds, default=5.0, help="seconds of media to watch (default: %(default)g)"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        help="seconds after which the call has failed, whatever happens "
        "(default: duration + 25, and 5 for each member from the third on)",
    )
    parser.add_argument("--room", help="room to call in (default: a random one)")
    parser.add_argument("--secret", help="room secret: the k of a join link (default: a random one)")
    tokens = parser.add_mutually_exclusive_group()
    tokens.add_argument("--token", help="join token, where the server wants one; used by all members")
    tokens.add_argument(
        "--jwt-secret-file", type=Path, help="file with the server's JWT secret, to make join tokens with"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)
    if not _is_address(arguments.url):
        parser.error("--url must be a ws:// or wss:// address, without user name, query and fragment")
    if arguments.room is not None and not ROOM.fullmatch(arguments.room):
        parser.error("--room may have letters, digits, '.', '_', '~' and '-', at most 128 of them")
    if arguments.turn_transport and not arguments.relay:
        parser.error("--turn-transport needs --relay")
    if arguments.timeout is not None and arguments.timeout <= arguments.duration:
        parser.error("--timeout must be longer than --duration")
    try:
        secret = unb64(arguments.secret) if arguments.secret is not None else None
    except CryptoError:
        secret = b""
    if secret is not None and len(secret) != 32:
        parser.error("--secret must be 32 bytes in base64url without padding, as in a join link")
    jwt_secret = None
    if arguments.jwt_secret_file is not None:
        try:
            jwt_secret = arguments.jwt_secret_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            parser.error(
                f"--jwt-secret-file can't be read: {getattr(error, 'strerror', None) or 'no text'}"
            )
        if len(jwt_secret.encode()) < MIN_SECRET_BYTES:
            parser.error(f"--jwt-secret-file must hold at least {MIN_SECRET_BYTES} bytes")
    settings = ProbeSettings(
        url=arguments.url,
        relay=arguments.relay,
        turn_transport=arguments.turn_transport,
        duration=arguments.duration,
        timeout=arguments.timeout or arguments.duration + 25 + 5 * (arguments.members - 2),
        room=arguments.room,
        secret=secret,
        token=arguments.token,
        jwt_secret=jwt_secret,
        members=arguments.members,
    )
    return settings, arguments.json


def _is_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    # Errors name the address, so it must not carry anything secret.
    plain = not (url.username or url.password or url.query or url.fragment)
    return url.scheme in ("ws", "wss") and bool(url.hostname) and port != 0 and plain


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3_600:
        raise argparse.ArgumentTypeError("must be a number above 0, at most 3600")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
