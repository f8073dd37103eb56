"""What the environment settles for all commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Read once, by the entry point."""

    search_path: str
    """Where programs are, as ``PATH`` has it."""
    state_base: Path
    """Where running instances keep their files."""
    jwt_secret: str | None = field(repr=False)
    """Signs tokens, instead of the secret of the running instance."""
