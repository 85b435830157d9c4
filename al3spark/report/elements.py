"""What sections of a report are made of: headings, lists, tables, paths.

In: texts and elements. Out: markup. Promises: nothing is wider than the page; what has to be scrolls in
itself. A path breaks between its folders, and a very long one is cut in the middle; its title is the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from al3spark.report.markup import Html, join, show, tag
from al3spark.report.quantities import tell_count

LONGEST_PATH = 120


@dataclass(frozen=True, slots=True)
class Gauge:
    """A line of a list with bars: what, how much as told, the bar, and what else there is to say."""

    label: str
    number: str
    bar: Html
    about: str = ""


def section(title: str, *inside: str, note: str = "") -> Html:
    """A part of the page with a heading."""
    return tag("section", tag("h2", title), *([tag("p", note, class_="note")] if note else []), *inside)


def empty(text: str) -> Html:
    """Why there is nothing to show."""
    return tag("p", text, class_="empty")


def path_of(path: str, root: str = "") -> Html:
    """A path, below `root` without it: folders pale, the name not."""
    above = root.rstrip("/") + "/"
    told = show(path[len(above) :] if root and path.startswith(above) else path)
    if len(told) > LONGEST_PATH:
        told = f"{told[: LONGEST_PATH // 2]}…{told[-LONGEST_PATH // 2 :]}"
    *folders, name = told.split("/")
    steps = [tag("i", f"{folder}/") for folder in folders]
    return tag("span", *steps, tag("span", name), class_="path", title=path)


def table(heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> Html:
    """A table that scrolls in itself; `heads`: name and class of each column."""
    head = tag("tr", *(tag("th", name, scope="col", class_=kind or None) for name, kind in heads))
    body = (
        tag("tr", *(tag("td", cell, class_=kind or None) for cell, (_, kind) in zip(row, heads, strict=True)))
        for row in rows
    )
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="scroll", tabindex="0")


def draw_gauges(gauges: Sequence[Gauge], most: int, things: str) -> Html:
    """A list with bars; what is beyond `most` is folded away as so many more `things`."""
    items = [
        tag(
            "li",
            tag("span", gauge.label, class_="label"),
            tag("b", gauge.number),
            gauge.bar,
            *([tag("small", gauge.about)] if gauge.about else []),
        )
        for gauge in gauges
    ]
    return fold(items, most, "gauges", things)


def draw_pairs(pairs: Sequence[tuple[str, str]], most: int, things: str) -> Html:
    """A list of what and why; what is beyond `most` is folded away as so many more `things`."""
    items = [tag("li", tag("span", what), tag("span", why)) for what, why in pairs]
    return fold(items, most, "pairs", things)


def fold(items: Sequence[Html], most: int, kind: str, things: str) -> Html:
    """A list of which only the first items are seen at once; a single one more is not worth a fold."""
    shown = items if len(items) <= most + 1 else items[:most]
    rest = items[len(shown) :]
    more = tag(
        "details", tag("summary", f"{tell_count(len(rest))} more {things}"), tag("ul", *rest, class_=kind)
    )
    return join(tag("ul", *shown, class_=kind), *([more] if rest else []))
