"""A page for people: chapters of sections with text, examples and tables, without a word of markup.

Values only: dictionary_page.py makes them, page_formats.py writes them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """A name as it is written in SQL or in a file."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A name that leads to a section or a row of the page."""

    text: str
    anchor: str


Text = tuple[str | Code | Link, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table; `anchor`: how others lead to it, or ""."""

    cells: tuple[Text, ...]
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: text, an example in SQL, a table. `note`: what the contents say of it."""

    title: Text
    anchor: str
    note: str = ""
    paragraphs: tuple[Text, ...] = ()
    example: str = ""
    header: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A title, a few words, and chapters of sections."""

    title: str
    lead: Text
    chapters: tuple[tuple[str, tuple[Section, ...]], ...]
