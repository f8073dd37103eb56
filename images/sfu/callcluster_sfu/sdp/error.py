"""What is wrong with a description."""

from __future__ import annotations


class SdpError(ValueError):
    """A description that can't be used.

    Its text is one line that names a place and the rule; it never repeats what the peer wrote, so it may be
    logged and sent back.
    """

    def __init__(self, place: str, rule: str) -> None:
        super().__init__(f"{place}: {rule}")
        self.place = place
        self.rule = rule
