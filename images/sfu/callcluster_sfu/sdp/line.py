"""One line of a description, and the small grammars that its value is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from callcluster_sfu.sdp.error import SdpError
from callcluster_sfu.sdp.limits import Limits

TOKEN = frozenset("!#$%&'*+-.^_`{|}~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
"""Characters of an RFC 8866 ``token``."""

_TYPES = frozenset("vosiuepcbtrzkam")


@dataclass(frozen=True, slots=True)
class Line:
    """``name`` is the attribute's for ``a=`` lines, else empty; ``value`` is what follows."""

    number: int
    type: str
    name: str
    value: str

    def error(self, rule: str) -> SdpError:
        """The error that this line breaks ``rule``; only for attributes that the parser knows by name."""
        what = f"a={self.name}" if self.name else f"{self.type}="
        return SdpError(f"line {self.number}, {what}", rule)

    def words(self, least: int, most: int) -> list[str]:
        """The value, cut at spaces.

        Raises:
            SdpError: there are fewer than ``least`` or more than ``most``.
        """
        words = [word for word in self.value.split(" ") if word]
        if not least <= len(words) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise self.error(f"needs {wanted} words")
        return words

    def number_in(self, text: str, least: int, most: int, what: str) -> int:
        """``text`` as a decimal number.

        Raises:
            SdpError: it is none, or out of bounds.
        """
        if text.isascii() and text.isdigit() and len(text) <= 20 and least <= int(text) <= most:
            return int(text)
        raise self.error(f"{what} must be a number from {least} to {most}")

    def token(self, text: str, longest: int, what: str) -> str:
        """``text`` if it is an RFC 8866 token.

        Raises:
            SdpError: it has other characters, or is empty or too long.
        """
        if 0 < len(text) <= longest and TOKEN.issuperset(text):
            return text
        raise self.error(f"{what} must be a token of at most {longest} characters")

    def visible(self, text: str, longest: int, what: str) -> str:
        """``text`` if it is ASCII without spaces and control characters.

        Raises:
            SdpError: it is not, or is empty or too long.
        """
        if 0 < len(text) <= longest and text.isascii() and text.isprintable() and " " not in text:
            return text
        raise self.error(f"{what} must be at most {longest} visible ASCII characters")


def lines_of(text: str, limits: Limits) -> Iterator[Line]:
    """Cuts ``text`` into lines; CRLF as RFC 8866 asks, LF alone as it lets parsers accept.

    Raises:
        SdpError: the text is above a limit, or something in it is no SDP line.
    """
    if len(text) > limits.characters:
        raise SdpError("description", f"is longer than {limits.characters} characters")
    if text.count("\n") > limits.lines:
        raise SdpError("description", f"has more than {limits.lines} lines")
    rows = text.removesuffix("\n").split("\n")
    for number, row in enumerate(rows, 1):
        line = row.removesuffix("\r")
        if len(line) > limits.line_characters:
            raise SdpError(f"line {number}", f"is longer than {limits.line_characters} characters")
        if line[1:2] != "=" or line[0] not in _TYPES:
            raise SdpError(f"line {number}", "is not of the form <type>=<value>")
        if "\r" in line or "\0" in line:
            raise SdpError(f"line {number}", "has a control character")
        if line[0] == "a":
            name, _, value = line[2:].partition(":")
            yield Line(number, "a", name, value)
        else:
            yield Line(number, line[0], "", line[2:])
