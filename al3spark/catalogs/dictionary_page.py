"""The data dictionary as a page: what is in every table, how tables join, where each column comes from.

In: a dictionary. Out: a `Page` of sections, which page_formats.py writes as Markdown or HTML.
Promises: every table and every column that a run can write is there; a link leads to something on the page.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files

import pyarrow as pa

from al3spark.al3.comments import comment_of, tell_bytes, tell_ids, tell_pii
from al3spark.al3.dictionary import LEADING_COLUMNS, Dictionary, Element, Layout
from al3spark.al3.dictionary.parents import PARENTS, extended
from al3spark.catalogs.pages import Code, Link, Page, Row, Section, Text
from al3spark.catalogs.schemas import plan_tables
from al3spark.store.typenames import type_name

NO_GROUP = ("unmapped_groups", "errors", "files")
ELEMENTS = ("column", "type", "kind", "bytes", "element id", "pii", "superseded by", "sources", "confidence")
COLUMNS = ("column", "type", "meaning")
JOIN = """SELECT *
FROM auto_coverages AS child
JOIN vehicles AS parent
    ON child.file_id = parent.file_id AND child.parent_offset = parent.record_offset"""

KINDS = (
    ("text", "as it is, without blanks at its ends"),
    ("code", "a code of the standard, left justified"),
    ("phone", "10 digits, left justified"),
    ("reserved", "kept free by the standard"),
    ("gap", "bytes that no element describes"),
    ("integer", "digits"),
    ("decimal", "digits, the last of them decimals"),
    ("amount", "digits, the last of them decimals, and then the sign"),
    ("date_ccyymmdd", "a date"),
    ("date_yymmdd", "a date whose century is a convention"),
    ("month_mmyy", "the first day of a month whose century is a convention"),
    ("time_hhmm", "a time, as HH:MM"),
    ("timestamp", "date and time as sent, without a zone"),
    ("flag", "Y or N"),
    ("name", "a name whole, and by its format code in six columns more"),
)


def compose_page(dictionary: Dictionary) -> Page:
    """Compose the page of a dictionary."""
    schemas, book = plan_tables(dictionary).schemas, _Book(dictionary)
    described = sum(each.kind != "gap" for layout in dictionary.layouts for each in layout.elements)
    lead = (
        f"{len(dictionary.layouts)} groups of ACORD AL3 records, each a table, with {described:,} elements. "
        f"Dictionary version {dictionary.version}.",
    )
    groups = tuple(book.group(layout, schemas[layout.table]) for layout in dictionary.layouts)
    others = tuple(_other(name, schemas[name]) for name in NO_GROUP)
    chapters = (
        ("How to read the tables", (_joins(), _leading(schemas["unmapped_groups"]), _kinds(), _sources())),
        ("Tables of groups", groups),
        ("Other tables", others),
        ("Groups without a layout", (book.unknown(),)),
    )
    return Page("Data dictionary", lead, chapters)


class _Book:
    """What sections of groups say of each other."""

    def __init__(self, dictionary: Dictionary) -> None:
        self._titles = dictionary.titles
        self._layouts = {layout.group: layout for layout in dictionary.layouts}
        self._anchors = {
            element.element_id: Link(element.name, f"{layout.table}.{element.name}")
            for layout in dictionary.layouts
            for element in layout.elements
            if element.element_id
        }

    def group(self, layout: Layout, schema: pa.Schema) -> Section:
        """The section of a group's table: what it joins with, and its elements."""
        own = tuple(row for element in layout.elements for row in self._rows(element, layout, schema))
        paragraphs = [
            (
                *(layout.title, " (", Code(layout.group), f"), {layout.length} bytes. Primary key: "),
                *(Code("file_id"), ", ", Code("record_offset"), "."),
            ),
            *self._joins(layout.group),
        ]
        note = f"{layout.group} {layout.title}"
        return Section(
            (Code(layout.table),), layout.table, note, tuple(paragraphs), header=ELEMENTS, rows=own
        )

    def unknown(self) -> Section:
        """The groups that are known by name only."""
        rows = tuple(
            Row(((Code(group),), (title,))) for group, title in self._titles if group not in self._layouts
        )
        told = "Their records are in ", Link("unmapped_groups", "unmapped_groups"), ", header and raw bytes."
        return Section(("Known by name only",), "unknown", "", (told,), header=("group", "name"), rows=rows)

    def _joins(self, group: str) -> Iterator[Text]:
        above = [(each.parent, each.level) for each in PARENTS if each.group == group]
        below = [(each.group, each.level) for each in PARENTS if each.parent == group]
        if above:
            yield "Seen below ", *self._list(above), ": ", Code("parent_offset"), " leads there."
        if below:
            yield "Seen above ", *self._list(below), "."
        if base := extended(group):
            yield "Extends ", *self._name(base), ", with the same level and iteration."

    def _list(self, seen: Iterable[tuple[str, str]]) -> Iterator[str | Code | Link]:
        for number, (group, level) in enumerate(seen):
            yield from (", ",) if number else ()
            yield from self._name(group)
            yield f" at level {level}"

    def _name(self, group: str) -> Iterator[str | Code | Link]:
        if layout := self._layouts.get(group):
            yield from (Link(layout.table, layout.table), f" ({group})")
        else:
            yield Code(group)

    def _rows(self, element: Element, layout: Layout, schema: pa.Schema) -> Iterator[Row]:
        newer = element.superseded_by
        found = self._anchors.get(newer)
        facts: tuple[Text, ...] = (
            (f"{element.kind}, {element.scale} decimals" if element.scale else element.kind,),
            (tell_bytes(element).partition(" ")[2],),
            (tell_ids(element),),
            (tell_pii(element),),
            (found if found else newer,),
            (element.sources,),
            (element.confidence,),
        )
        for column in element.columns:
            kind = type_name(schema.field(column).type, "athena")
            yield Row(((Code(column),), (kind,), *facts), f"{layout.table}.{column}")


def _joins() -> Section:
    paragraphs: tuple[Text, ...] = (
        (
            "A record is found again by two columns: ",
            *(Code("file_id"), ", a digest of the file's content, and ", Code("record_offset"), ". "),
            "Of the same file are a record's message, transaction and parent: ",
            *(Code("message_offset"), ", ", Code("transaction_offset"), " and ", Code("parent_offset")),
            " are the ",
            *(Code("record_offset"), " of a row in ", Link("messages", "messages"), ", "),
            *(Link("transactions", "transactions"), " and the table of ", Code("parent_group"), "."),
        ),
        (
            *("Rows count that ", Code("current_files"), " names, a view that "),
            *(Code("al3spark views"), " prints: join with it by "),
            *(Code("job_id"), " and ", Code("file_id"), "."),
        ),
    )
    return Section(("Keys and joins",), "joins", "", paragraphs, JOIN)


def _leading(schema: pa.Schema) -> Section:
    told = (
        "Every table of a group starts with these columns, ",
        Code("extra_bytes"),
        " is its last one; ",
        Code("ingest_date"),
        " is the folder that a row is in. A column that a group has as an element is described there.",
    )
    last = pa.field("extra_bytes", pa.binary(), metadata={"comment": "What follows the last known element"})
    rows = tuple(_row("leading", field) for field in schema if field.name in LEADING_COLUMNS)
    return Section(
        ("Columns of all tables of groups",),
        "leading",
        "",
        (told,),
        "",
        COLUMNS,
        (*rows, _row("leading", last)),
    )


def _other(name: str, schema: pa.Schema) -> Section:
    rows = tuple(_row(name, field) for field in schema if name != "unmapped_groups" or _is_own(field))
    told: list[Text] = [(f"{comment_of(schema)}.",)]
    if name == "unmapped_groups":
        told.append(("The ", Link("columns of all tables", "leading"), ", and these:"))
    return Section((Code(name),), name, "", tuple(told), "", COLUMNS, rows)


def _is_own(field: pa.Field) -> bool:
    return field.name not in LEADING_COLUMNS


def _row(table: str, field: pa.Field) -> Row:
    kind = type_name(field.type, "athena")
    return Row(((Code(field.name),), (kind,), (comment_of(field),)), f"{table}.{field.name}")


def _kinds() -> Section:
    rows = tuple(Row(((Code(kind),), (meaning,))) for kind, meaning in KINDS)
    told = (
        "What is blank, or begins with a question mark, was not sent: null. So is what does not fit its ",
        *("kind; then ", Link("errors", "errors"), " has a row for it."),
    )
    return Section(("Kinds of elements",), "kinds", "", (told,), "", ("kind", "what it holds"), rows)


def _sources() -> Section:
    page = files("al3spark.al3.dictionary").joinpath("SOURCES.md").read_text("utf-8")
    letters: Mapping[str, str] = dict(re.findall(r"^\| ([A-Z](?:, [A-Z])*) \| (.+) \|$", page, re.MULTILINE))
    rows = tuple(Row(((letter,), (source,))) for letter, source in letters.items())
    told = (
        "Positions count from 0 and include the header. Confidence is high where two sources agree or a real "
        "file shows it, medium where there is one good source, low where it is inferred. An older element "
        "that is superseded keeps its column, and fills the newer one where that is null.",
    )
    return Section(("Where elements come from",), "sources", "", (told,), "", ("letter", "source"), rows)
