"""The run report as one HTML page: what became of a job, and what to do next.

In: facts. Out: a page that needs nothing but itself: no script, no link, nothing that is fetched. Promises:
it is read on a phone as on a desk, in light and in dark; nothing but its own style is carried out, whatever
stands in the names of files. No I/O but reading the style that comes with the package.
"""

from __future__ import annotations

from importlib.resources import files

import al3spark
from al3spark.report.advice import Advice, find_advice
from al3spark.report.charts import draw_bar
from al3spark.report.elements import path_of
from al3spark.report.facts import STALLED, Facts
from al3spark.report.markup import Html, join, tag
from al3spark.report.quantities import tell_count, tell_moment, tell_rate, tell_seconds, tell_size
from al3spark.report.sections import (
    failed_section,
    faults_section,
    faulty_section,
    files_section,
    slowest_section,
    tables_section,
    throughput_section,
)

# Status -> class of its colour, and how it is told.
_STATUSES = {
    "completed": ("good", "completed"),
    "partial_success": ("fair", "partial success"),
    "failed": ("bad", "failed"),
    "cancelled": ("fair", "cancelled"),
    "processing": ("busy", "running"),
    "queued": ("busy", "queued"),
    STALLED: ("bad", "no sign of life"),
}
_VERSIONS = ("al3spark", "dictionary", "spark")
MOST_OPEN = 2  # pieces of advice that show without a click
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def make_page(facts: Facts) -> str:
    """Make the page."""
    style = Html(files("al3spark.report").joinpath("report.css").read_text("utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{facts.job_id}: {_status(facts)[1]}"),
        tag("style", style),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', *_body(facts)), lang='en')}\n"


def _body(facts: Facts) -> tuple[Html, ...]:
    faults = (faults_section(facts), *([faulty_section(facts)] if facts.codes else []))
    written = tag("div", tables_section(facts), slowest_section(facts), class_="pair")
    return (
        _header(facts),
        tag("main", _figures(facts), *_outcome(facts), *faults, written),
        _footer(facts),
    )


def _outcome(facts: Facts) -> tuple[Html, ...]:
    """What to do, beside how it went; above it where there is little to do."""
    advice = find_advice(facts)
    todo, charts = _advice_section(advice), (files_section(facts), throughput_section(facts))
    failed = (failed_section(facts),) if facts.failed else ()
    if len(advice) <= MOST_OPEN:
        return todo, tag("div", *charts, class_="pair narrow"), *failed
    return tag("div", todo, tag("div", *charts, class_="stack"), class_="pair wide"), *failed


def _status(facts: Facts) -> tuple[str, str]:
    return _STATUSES.get(facts.status, ("busy", facts.status))


def _header(facts: Facts) -> Html:
    kind, word = _status(facts)
    progress = [_progress(facts)] if facts.is_running or facts.status == STALLED else []
    return tag(
        "header",
        tag("p", "al3spark run report", class_="kicker"),
        tag("div", tag("h1", facts.job_id), tag("p", word, class_=f"badge {kind}"), class_="title"),
        tag("p", _sentence(facts), class_="lead"),
        *progress,
        _origin(facts),
    )


def _sentence(facts: Facts) -> str:
    """How it went, in a sentence or two."""
    failed, faulty = facts.count("failed"), facts.count("succeeded_with_faults")
    read = faulty + facts.count("succeeded")
    because = f": {facts.reason.rstrip('.')}" if facts.reason else ""
    if facts.is_unfinished:
        word = "broke off" if facts.status == "failed" else "was cancelled"
        return f"All rows are published, but then it {word}{because}."
    if facts.status == "cancelled":
        return f"It was cancelled{because}. What was published before stays."
    if facts.status == "failed" and facts.tables is None:
        return f"It broke off{because}. What was published before stays."
    if facts.stopped_chunk is not None:
        return f"It was stopped{because}. Nothing of chunk {facts.stopped_chunk} is published."
    if facts.status not in ("completed", "partial_success", "failed"):
        return f"{tell_count(read, 'file')} read and published so far."
    if failed and not read:
        return f"{tell_count(failed, 'file')} failed, and none was read."
    if failed:
        whole = tell_count(failed + read, "file")
        return f"{tell_count(failed)} of {whole} failed; the others are in the tables."
    if not read:
        return "There was nothing new to read."
    return f"{tell_count(read, 'file')} read, " + (
        f"{tell_count(faulty)} with faults." if faulty else "all without a fault."
    )


def _progress(facts: Facts) -> Html:
    told = f"{facts.percent:g} % of {tell_size(facts.total_bytes)}"
    return tag("div", draw_bar(facts.percent, 100), tag("p", told), class_="progress")


def _origin(facts: Facts) -> Html:
    """Where from, where to, when, with what."""
    started = facts.started or facts.created
    ended = facts.ended
    when = f"{tell_moment(started)}, took {tell_seconds(facts.seconds)}"
    if ended is None:
        when = f"since {tell_moment(started)}, last sign of life {tell_moment(facts.heartbeat)}"
    told: list[tuple[str, str]] = []
    if facts.source:
        told.append(("Source", path_of(facts.source)))
    told += [("Tables", path_of(facts.destination)), ("Time", when)]
    if with_what := [f"{name} {version}" for name, version in facts.versions if name in _VERSIONS]:
        told.append(("With", ", ".join(with_what)))
    return tag("dl", *(join(tag("dt", name), tag("dd", value)) for name, value in told), class_="origin")


def _figures(facts: Facts) -> Html:
    """The few numbers to remember."""
    read = facts.count("succeeded") + facts.count("succeeded_with_faults")
    failed = facts.count("failed")
    told = (
        (tell_count(read), "file read" if read == 1 else "files read", ""),
        (tell_count(failed), "file failed" if failed == 1 else "files failed", "bad" if failed else ""),
        (tell_count(facts.rows), "row" if facts.rows == 1 else "rows", ""),
        (
            tell_count(facts.faults),
            "fault" if facts.faults == 1 else "faults",
            "fair" if facts.faults else "",
        ),
        (tell_size(facts.bytes), _extent(facts), ""),
        (tell_rate(facts.bytes_per_second), f"in {tell_seconds(facts.seconds)}", ""),
    )
    tiles = (
        tag("div", tag("dt", name), tag("dd", number, class_=kind or None)) for number, name, kind in told
    )
    return tag("dl", *tiles, class_="figures")


def _extent(facts: Facts) -> str:
    """What the bytes are that were dealt with."""
    if facts.tables is not None:
        return "of files"
    return "dealt with" if facts.ended else "so far"


def _advice_section(advice: tuple[Advice, ...]) -> Html:
    items = (
        tag(
            "li",
            tag(
                "details",
                tag("summary", tag("h3", each.title), _codes(each)),
                tag("p", each.text),
                *(_command(command) for command in each.commands),
                open="" if number < MOST_OPEN else None,
            ),
        )
        for number, each in enumerate(advice)
    )
    return tag("section", tag("h2", "What to do next"), tag("ol", *items, class_="advice"), class_="next")


def _codes(advice: Advice) -> Html:
    """The fault codes that it is about."""
    return join(*(tag("code", sign) for sign in advice.signs if sign.isupper()))


def _command(command: str) -> Html:
    """A command that breaks between its words only."""
    words = [tag("span", word) for word in command.split(" ")]
    return tag("pre", tag("code", Html(" ".join(words))))


def _footer(facts: Facts) -> Html:
    return tag(
        "footer",
        tag(
            "p",
            f"Made {tell_moment(facts.seen)} by al3spark {al3spark.__version__} of the job's documents and "
            "its rows in files and errors. Offsets count bytes from 0.",
        ),
    )
