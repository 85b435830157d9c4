"""How to ask for the same once more: the options of a request as flags.

In: the request of a manifest. Out: flags with their words, or why flags cannot tell it. Promises: what is
told asks for the same of all options, those that keep personal data above all. No I/O.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from al3spark.config import Destination, Options, Source
from al3spark.options import describe

NOT_ON_RECORD = (
    "Its request is not on record: run the command that started it once more, with all its options. "
    "Without them personal data may be written as it was sent."
)
NEEDS_DOCUMENT = (
    "Its request says what no flag says: run the document that started it once more, by --request FILE."
)
_PARTS: Mapping[str, type] = {"source": Source, "destination": Destination, "options": Options}
_SEVERAL = frozenset(option.flag for option in describe(Options) if option.kind is tuple)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked beside source and destination. `flags`: each with its value, "" for a switch.

    `untold`: why flags do not tell it; then there are none.
    """

    flags: tuple[tuple[str, str], ...] = ()
    untold: str = ""

    def words(self, others: str) -> str:
        """The flags for a shell, without those that are once in a command and stand in `others` already."""
        taken = set(shlex.split(others)) - _SEVERAL
        told = [(flag, value) for flag, value in self.flags if flag not in taken]
        return "".join(f" {flag} {shlex.quote(value)}" if value else f" {flag}" for flag, value in told)


def find_asked(request: Mapping[str, Any] | None) -> Asked:
    """Give the options that differ from their defaults."""
    if not request:
        return Asked(untold=NOT_ON_RECORD)
    flags: list[tuple[str, str]] = []
    for part, described in _PARTS.items():
        said = request.get(part) or {}
        known = {option.name: option for option in describe(described)}
        for name, value in said.items():
            option = known.get(name)
            if name == "uri" or not _tells(value) or (option and value == option.default):
                continue
            texts = _texts(name, value)
            if option is None or texts is None:
                return Asked(untold=NEEDS_DOCUMENT)
            flags += [(option.flag, text) for text in texts]
    return Asked(tuple(flags))


def _tells(value: Any) -> bool:
    """Whether something was asked: not by null, nor by a text, list or object with nothing in it."""
    if isinstance(value, dict):
        return any(map(_tells, value.values()))
    return value is not None and value is not False and value not in ("", [])


def _texts(name: str, value: Any) -> list[str] | None:
    """The values of a flag; None where only a document can say it."""
    if name == "archive":
        return [value["succeeded"]] if not value.get("failed") else None
    if name == "on_finish":
        return [shlex.join(value["command"])] if not value.get("sns_topic_arn") else None
    if isinstance(value, list):
        return value
    return [""] if value is True else [str(value)]
