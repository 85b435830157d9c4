"""The rows of a spreadsheet export, as people keep spreadsheets.

In: the bytes of a CSV file and a map. Out: rows with the line that each begins in, and what was met on the
way: titles of groups, heads that are repeated, rows that the map leaves out. Finds out by itself: a byte
order mark, the delimiter, `sep=` in the first line, lines above the head. Nothing else is guessed.
Raises: DictionaryError where the file is no table that the map fits.
"""

import codecs
import csv
import difflib
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

from al3spark.al3.dictionary.checking import Problem
from al3spark.errors import DictionaryError
from al3spark.importing.maps import Columns, ImportMap, normalize

DELIMITERS = (",", ";", "\t", "|")
# A row like `5BPI - Basic Policy Information` and nothing else; a designator has a digit and a letter.
_HEADING = re.compile(
    r"(?i:group|record|segment)?[ :]*((?=\w{0,3}[0-9])(?=\w{0,3}[A-Z])[0-9A-Z]{4})\b[ :\u2013\u2014-]*(.*)"
)
_NOTHING = frozenset(["", "-", "\u2013", "\u2014", "N/A", "NONE", "NULL"])
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LIKE_UTF_16 = 'looks like UTF-16: save it as CSV UTF-8, or name its encoding in the map, like "utf-16-le"'
_SHOWN = 40  # characters of a cell: all of a file can be one, after a quote that nobody closes

_Numbered = tuple[int, list[str]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that describes an element: the line that it begins in, its group, the cells by name of column."""

    line: int
    group: str
    cells: Mapping[str, str]

    def get(self, name: str) -> str:
        """A cell, "" where there is none or it says so (`-`, `n/a`)."""
        text = self.cells.get(name, "")
        return "" if text.upper() in _NOTHING else text


@dataclass(slots=True)
class Rows:
    """What a file holds. `lines`: where a group is met first; `left_out`: rows, by the reason."""

    entries: list[Entry] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    filled: list[int] = field(default_factory=list)  # lines of rows whose group stands above them


def read_head(data: bytes, name: str) -> tuple[list[str], str | None]:
    """Give the names of the columns of a file, and the encoding that a map must name, if it is not UTF-8.

    Its head is the line with the most cells among the first.
    """
    encoding = None if _is_unicode(data) else "cp1252"
    text = decode(data, name, encoding)
    rows = [row for delimiter in _delimiters(text, None) for _, row in _first(_records(text, delimiter))]
    return max(([*filter(None, map(_squeeze, row))] for row in rows), key=len, default=[]), encoding


def read_rows(data: bytes, name: str, how: ImportMap) -> Rows:
    """Read all rows of a file."""
    text = decode(data, name, how.encoding)
    wanted = {
        each.name: column
        for each in fields(Columns)
        if (column := getattr(how.columns, each.name)) is not None
    }
    delimiter, above, head = _find_head(text, name, how.delimiter, [*wanted.values(), *how.skip, *how.only])
    if twice := [column for column in wanted.values() if head.count(normalize(column)) > 1]:
        raise DictionaryError("\n".join(f"{name}: has several columns {column!r}" for column in twice))
    places = {each: head.index(normalize(column)) for each, column in wanted.items()}
    reader = _Reader(how, head, places, Rows())
    if above:
        reader.rows.left_out["above the head"] = above
    try:
        for line, row in _body(_records(text, delimiter), above):
            reader.take(line, row)
    except csv.Error as error:
        raise DictionaryError(f"{name}: is not CSV: {error}") from error
    return reader.rows


def decode(data: bytes, name: str, encoding: str | None) -> str:
    """Give the text of a file: by its byte order mark, else by the encoding that the map names."""
    if data.startswith(b"PK\x03\x04"):
        raise DictionaryError(f"{name}: is an Excel workbook: save the sheet as CSV UTF-8")
    marked = next((codec for mark, codec in _MARKS if data.startswith(mark)), None)
    codec = marked or encoding or "utf-8"
    try:
        text = data.decode(codec)
    except LookupError as error:
        raise DictionaryError(f"{name}: no encoding {codec} is known; cp1252 and utf-8 are usual") from error
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise DictionaryError(f"{name}: {_LIKE_UTF_16}") from error
        line = data.count(b"\n", 0, error.start) + 1
        hint = "" if encoding else '; the map can name its encoding, like "cp1252"'
        raise DictionaryError(str(Problem(name, line, f"is not {codec.upper()}{hint}"))) from error
    except UnicodeError as error:  # of codecs that are none of a character set, as punycode
        raise DictionaryError(f"{name}: cannot be read as {codec}; cp1252 and utf-8 are usual") from error
    if "\0" in text:
        raise DictionaryError(f"{name}: {_LIKE_UTF_16}")
    return text


def _is_unicode(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.startswith(tuple(mark for mark, _ in _MARKS))
    return True


@dataclass(slots=True)
class _Reader:
    """Take one row after the other."""

    how: ImportMap
    head: Sequence[str]
    places: Mapping[str, int]
    rows: Rows
    _group: str = ""

    def take(self, line: int, row: Sequence[str]) -> None:
        cells = [_squeeze(cell) for cell in row]
        texts = [normalize(cell) for cell in cells]
        if not any(cells):
            return
        if texts[: len(self.head)] == list(self.head):
            self.rows.left_out["the head again"] += 1
        elif not self._is_wanted(texts):
            self.rows.left_out["as the map says"] += 1
        elif heading := _heading(cells):
            self._begin(line, heading[1], heading[2])
            self.rows.left_out["headings"] += 1
        else:
            named = {name: cells[at] for name, at in self.places.items() if at < len(cells)}
            self._take_cells(line, {**self.how.constants, **{k: text for k, text in named.items() if text}})

    def _is_wanted(self, texts: Sequence[str]) -> bool:
        found = {name: texts[at] if at < len(texts) else "" for at, name in enumerate(self.head)}
        if any(found[column] in values for column, values in self.how.skip.items()):
            return False
        return all(found[column] in values for column, values in self.how.only.items())

    def _take_cells(self, line: int, cells: Mapping[str, str]) -> None:
        if group := cells.get("group", ""):
            heading = _HEADING.fullmatch(group)
            self._begin(line, heading[1] if heading else group.upper(), heading[2] if heading else "")
        elif self.places.get("group") is not None:
            self.rows.filled.append(line)
        if title := cells.get("group_name", ""):
            self.rows.titles[self._group] = title
        if table := cells.get("table", ""):
            self.rows.tables[self._group] = table
        entry = Entry(line, self._group, cells)
        if entry.get("element") or any(entry.get(name) for name in ("start", "end", "length")):
            self.rows.entries.append(entry)
        else:
            self.rows.left_out["without element and position"] += 1

    def _begin(self, line: int, group: str, title: str) -> None:
        self._group = group
        self.rows.lines.setdefault(group, line)
        if title:
            self.rows.titles[group] = title


def _heading(cells: Sequence[str]) -> re.Match[str] | None:
    filled = [cell for cell in cells if cell]
    return _HEADING.fullmatch(filled[0]) if len(filled) == 1 else None


def _find_head(
    text: str, name: str, delimiter: str | None, wanted: Sequence[str]
) -> tuple[str, int, list[str]]:
    """Find the first line that has all columns: the delimiter, records above it, its names."""
    columns = [normalize(column) for column in wanted]
    best: list[str] = []

    def rank(found: Sequence[str]) -> tuple[int, int]:
        return len(set(columns) & set(found)), len([cell for cell in found if cell])

    for each in _delimiters(text, delimiter):
        for above, (_, row) in enumerate(_first(_records(text, each))):
            head = [normalize(cell) for cell in row]
            if set(columns) <= set(head):
                return each, above, head
            best = max(best, head, key=rank)
    raise DictionaryError("\n".join(_missing(name, wanted, [cell for cell in best if cell])))


def _missing(name: str, wanted: Sequence[str], head: Sequence[str]) -> Iterator[str]:
    has = ", ".join(cell[:_SHOWN] for cell in head) or "no line of cells"
    for column in dict.fromkeys(wanted):
        if normalize(column) not in head:
            near = difflib.get_close_matches(normalize(column), head, 1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {has}"
            yield f"{name}: has no column {column!r}; {hint}"


def _delimiters(text: str, asked: str | None) -> Sequence[str]:
    if asked:
        return (asked,)
    told = re.match(r"sep=(.)\r?\n", text)
    return (told[1],) if told else DELIMITERS


def _records(text: str, delimiter: str) -> Iterator[_Numbered]:
    """The records of a CSV text, each with the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    line = 1
    for row in reader:
        yield line, row
        line = reader.line_num + 1


def _first(records: Iterator[_Numbered], most: int = 50) -> Iterator[_Numbered]:
    try:
        for _, record in zip(range(most), records, strict=False):
            yield record
    except csv.Error:  # with a delimiter that is not its own
        return


def _body(records: Iterator[_Numbered], above: int) -> Iterator[_Numbered]:
    for number, record in enumerate(records):
        if number > above:
            yield record


def _squeeze(cell: str) -> str:
    """A cell without blanks around it, line ends and blanks in it as one blank each."""
    return " ".join(cell.split())
