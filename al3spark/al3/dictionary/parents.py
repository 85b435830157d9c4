"""Below which groups the records of a group were seen. For people: the parser takes what each header says.

Source: FORMAT.md, Hierarchy.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """Records of `group`, at `level`, below records of `parent`."""

    group: str
    level: str
    parent: str


PARENTS = (
    Seen("5ISI", "B2", "5BIS"),
    Seen("5SNG", "B2", "5BIS"),
    Seen("5BPI", "F1", "5BIS"),
    Seen("5RMK", "F2", "5BPI"),
    Seen("5PAY", "F2", "5BPI"),
    Seen("5FOR", "F2", "5BPI"),
    Seen("5DRV", "F2", "5BPI"),
    Seen("5CVG", "F2", "5BPI"),
    Seen("5LAG", "L1", "5BPI"),
    Seen("6HRU", "R1", "5LAG"),
    Seen("5VEH", "R1", "5LAG"),
    Seen("5FOR", "R2", "6HRU"),
    Seen("5AOI", "R2", "6HRU"),
    Seen("6CVH", "W1", "6HRU"),
    Seen("6CVA", "W1", "5VEH"),
)


def extended(group: str) -> str:
    """The group that a 9xxx group extends, with the same level and iteration; "" for all others."""
    return f"5{group[1:]}" if group.startswith("9") else ""
