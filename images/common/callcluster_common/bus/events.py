"""Entries that a bus publishes of its own accord. ``lua/*.lua`` writes the same bytes."""

from __future__ import annotations

from callcluster_common.messages.server import LeftReason


def left_line(uid: str, sid: str, reason: LeftReason) -> bytes:
    """A member is out of the room."""
    return f'["{uid}"]\n{{"t":"ev","d":{{"kind":"left","sid":"{sid}","reason":"{reason}"}}}}'.encode()


def resumed_line(claim: str, sid: str) -> bytes:
    """A member has a socket again, that of ``claim``."""
    return f'["{claim}","{sid}"]\n{{"t":"ev","d":{{"kind":"resumed","sid":"{sid}"}}}}'.encode()


def seated_line(uid: str, claim: str) -> bytes:
    """An SFU serves the room."""
    return f'["{uid}"]\n{{"t":"ev","d":{{"kind":"sfu","sfu":"{claim}"}}}}'.encode()


def vacated_line(uid: str) -> bytes:
    """No SFU serves the room any more."""
    return f'["{uid}"]\n{{"t":"ev","d":{{"kind":"sfu"}}}}'.encode()


def reconnecting_line(uid: str, sid: str) -> bytes:
    """A member's socket is gone, and its place is kept."""
    return f'["{uid}"]\n{{"t":"ev","d":{{"kind":"reconnecting","sid":"{sid}"}}}}'.encode()
