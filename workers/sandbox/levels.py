"""The levels of the sandbox, from the strongest down, and what a worker uses."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    BUBBLEWRAP = "bubblewrap"
    NAMESPACES = "namespaces"
    LANDLOCK = "landlock"
    NONE = "none"


LADDER = (Level.BUBBLEWRAP, Level.NAMESPACES, Level.LANDLOCK)

AUTO, OFF = "auto", "off"
"""Besides the names of levels, what LOWBIT_SANDBOX may say."""


@dataclass(frozen=True)
class Sandbox:
    level: Level
    is_declined: bool = False
    """The operator said that there shall be none."""

    @property
    def may_open_untrusted(self) -> bool:
        """Whether formats that are programs, or nearly so, may be opened here."""
        return self.level != Level.NONE or self.is_declined
