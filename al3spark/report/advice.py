"""What to do next: the rules that fit a job, filled in.

In: the facts of a report. Out: pieces of advice, the most pressing first, with commands to run. Promises:
paths in commands are quoted for a shell; a command that needs what is not known is left out; a command that
reads again has all options of the job. No I/O.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from al3spark.al3.archives import is_archive
from al3spark.report.again import Asked
from al3spark.report.facts import Facts
from al3spark.report.quantities import tell_count, tell_moment
from al3spark.report.rules import NOTHING, OTHER, RULES, Rule

MOST_WHERES = 3
_KNOWN = frozenset(sign for rule in RULES for sign in rule.signs)
UNTOLD = "Why it broke off is the last line in the log of its driver. "
OPTIONS = "{options}"
_BUCKETS = ("s3:", "s3a:", "s3n:")


@dataclass(frozen=True, slots=True)
class Advice:
    """A rule that fits. `signs`: those of its signs that show."""

    title: str
    text: str
    commands: tuple[str, ...]
    signs: tuple[str, ...]


def find_advice(facts: Facts) -> tuple[Advice, ...]:
    """Choose the rules that fit, in their order."""
    signs = find_signs(facts)
    found = []
    for rule in RULES:
        shown = tuple(sign for sign in rule.signs if sign in signs)
        if shown:
            values = _merge([signs[sign] for sign in shown])
            found.append(_fill(rule, shown, values, facts))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Values:
    """What is known of a sign, for the braces. `is_least`: there may be more than are counted."""

    count: int = 0
    wheres: tuple[str, ...] = ()
    file: str = ""
    reason: str = ""
    is_least: bool = False


def find_signs(facts: Facts) -> dict[str, Values]:
    """Say which signs a job shows."""
    signs: dict[str, Values] = {}
    if facts.is_unfinished:
        signs["unfinished"] = Values(reason=facts.reason.rstrip(".") or "it was cancelled")
    elif facts.status in ("stalled", "processing", "queued", "cancelled"):
        signs[facts.status] = Values()
    elif facts.stopped_chunk is not None:
        signs["stopped"] = Values(reason=facts.reason)
    elif facts.status == "failed" and facts.tables is None:
        signs["broken off"] = Values(reason="" if facts.reason else UNTOLD)
    for code, values in _find_codes(facts).items():
        if code in _KNOWN:
            signs[code] = values
        else:
            other = Values(values.count, (f"{code} ({values.count:,})",))
            signs[OTHER] = _merge([signs.get(OTHER, Values()), other])
    if facts.too_young:
        signs["too young"] = Values(facts.too_young)
    if facts.not_archived:
        signs["not archived"] = Values(len(facts.not_archived), reason=facts.not_archived[0].reason)
    return signs or {NOTHING: Values()}


def _find_codes(facts: Facts) -> dict[str, Values]:
    """Faults by code. Those of a chunk that was not published are in no table, but first files are named."""
    named = Counter(file.reason.partition(":")[0] for file in facts.failed)
    is_cut = facts.count("failed") > named.total()
    found = {code: Values(count, is_least=is_cut) for code, count in named.items()}
    for each in facts.codes:
        wheres = tuple(f"{where} ({count:,})" for where, count in each.wheres)
        count = max(each.count, named[each.code])
        is_least = is_cut and facts.stopped_chunk is not None and each.code in named
        found[each.code] = Values(count, wheres, _worst_file(facts, each.code), is_least=is_least)
    return found


def _worst_file(facts: Facts, code: str) -> str:
    """Where the file with most faults of a code is, if `inspect` can open it: on a disk."""
    counts = [(dict(file.codes).get(code, 0), file) for file in facts.faulty]
    count, file = max(counts, key=lambda each: each[0], default=(0, None))
    path = _outermost(file.archived_to or file.path) if file and count else ""
    return path if path.isprintable() and not path.startswith(_BUCKETS) else ""


def _outermost(path: str) -> str:
    """The file on the disk: of what is in an archive, the archive."""
    outer = (path[: mark.start()] for mark in re.finditer("!", path))
    return next(filter(is_archive, outer), path)


def _merge(values: list[Values]) -> Values:
    return Values(
        sum(each.count for each in values),
        tuple(where for each in values for where in each.wheres),
        next((each.file for each in values if each.file), ""),
        next((each.reason for each in values if each.reason), ""),
        any(each.is_least for each in values),
    )


def _fill(rule: Rule, signs: tuple[str, ...], values: Values, facts: Facts) -> Advice:
    where = values.wheres[:MOST_WHERES]
    more = len(values.wheres) - len(where)
    told = {
        "count": ("at least " if values.is_least else "") + tell_count(values.count, rule.thing),
        "where": (", ".join(where) + (f" and {more} more" if more else "")) or "some groups",
        "reason": values.reason,
        "heartbeat": tell_moment(facts.heartbeat),
        "seen": tell_moment(facts.seen),
        "chunk": facts.stopped_chunk,
        "age": facts.min_age_s,
    }
    words = {
        "source": facts.source or "SOURCE",
        "destination": facts.destination,
        "job": facts.job_id,
        "code": signs[0],
        "file": values.file,
        "group": values.wheres[0].partition(" ")[0].partition(".")[0] if values.wheres else "",
    }
    text = rule.text.format_map(told)
    text = text[:1].upper() + text[1:]
    if facts.asked.untold and any(OPTIONS in command for command in rule.commands):
        text = f"{text} {facts.asked.untold}"
    commands = (_command(command, words, facts.asked) for command in rule.commands)
    return Advice(rule.title, text, tuple(filter(None, commands)), signs)


def _command(pattern: str, words: Mapping[str, str], asked: Asked) -> str:
    """A command for a shell; "" where a word of it is not known, or its options cannot be told."""
    if any(f"{{{name}}}" in pattern and not word for name, word in words.items()):
        return ""
    if asked.untold and OPTIONS in pattern:
        return ""
    quoted = {name: shlex.quote(word) for name, word in words.items()}
    return pattern.format_map({**quoted, "options": asked.words(pattern)})
