"""Reads settings from the environment once, and says in one line what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class SettingError(ValueError):
    """A setting is missing or unusable; the message names it and says how to mend it."""


class Environment:
    """Typed access to environment variables; an empty value counts as absent."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str | None = None) -> str:
        """The value of ``name``.

        Raises:
            SettingError: it is absent and has no default.
        """
        value = self._variables.get(name, "")
        if value:
            return value
        if default is None:
            raise SettingError(f"{name} is required")
        return default

    def _parsed(self, name: str, parse: Callable[[str], T], expected: str, default: T | None) -> T:
        value = self._variables.get(name, "")
        if not value and default is not None:
            return default
        try:
            return parse(self.text(name))
        except SettingError:
            raise
        except ValueError:
            raise SettingError(f"{name} must be {expected}, not {value!r}") from None

    def integer(self, name: str, default: int | None = None, *, low: int = 0, high: int = 2**31) -> int:
        """A whole number between ``low`` and ``high``.

        Raises:
            SettingError: absent without a default, no number, or out of bounds.
        """

        def parse(value: str) -> int:
            number = int(value)
            if not low <= number <= high:
                raise ValueError
            return number

        return self._parsed(name, parse, f"a whole number from {low} to {high}", default)

    def flag(self, name: str, default: bool) -> bool:
        """``true`` or ``false``.

        Raises:
            SettingError: anything else.
        """
        values = {"true": True, "false": False}

        def parse(value: str) -> bool:
            if value.lower() not in values:
                raise ValueError
            return values[value.lower()]

        return self._parsed(name, parse, "true or false", default)

    def words(self, name: str, default: str = "") -> tuple[str, ...]:
        """A list separated by commas or white space."""
        return tuple(self._variables.get(name, default).replace(",", " ").split())

    def path(self, name: str) -> Path | None:
        """A path, or ``None`` where the variable is absent."""
        value = self._variables.get(name, "")
        return Path(value) if value else None
