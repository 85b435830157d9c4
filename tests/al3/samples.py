"""What the tests of the format share: policies and zip files, a whole parse in one call, a plain expansion.

Every person and every policy is invented.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from al3spark.al3.blocks import plain_rows
from al3spark.al3.building import Record
from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.al3.parsing import SplitParser
from al3spark.al3.squeeze import FormScan
from al3spark.al3.totals import FileTotals

DICTIONARY = load_dictionary()


def policy(number: int, vehicles: int = 1) -> list[Record]:
    """One transaction: an auto policy, its vehicles with two coverages each, and a group nobody knows."""
    name = {"format": "P", "first": "ANNA", "last": "MÜLLER" if number % 3 == 2 else "SMITH"}
    records = [
        Record("2TRG", {"transaction_function": "FMG", "transaction_sequence_number": number}, length=204),
        Record("5BIS", {"insureds_name": name}, level="B1", iteration=1, length=150),
        Record("9BIS", {"city": "SPRINGFIELD", "zip_code": "000001234"}, level="B1", iteration=1, length=177),
        Record(
            "5BPI",
            {
                "policy_number": f"P{number:07}",
                "line_of_business_code": "AUTOP",
                "policy_effective_date_superseded": date(2024, 2, 29),
                "current_term_amount": Decimal("115.00"),
            },
            level="F1",
            iteration=1,
            parent=("5BIS", "B1", 1),
            length=285,
        ),
        Record("5LAG", {"city": "SPRINGFIELD"}, "L1", 1, ("5BPI", "F1", 1), length=174),
    ]
    for vehicle in range(1, vehicles + 1):
        own = ("5VEH", "R1", vehicle)
        premium = {"full_term_premium": Decimal(vehicle) / 4}
        records += [
            Record("5VEH", {"vehicle_make": "MAKE", "cost_new": 20000}, "R1", vehicle, ("5LAG", "L1", 1)),
            Record("6CVA", {"coverage_code_personal_automobile": "BI", **premium}, "W1", 1, own),
            Record("6CVA", {"coverage_code_personal_automobile": "COMP"}, "W1", 2, own, length=213),
            Record("5ZZZ", level="W1", iteration=2, parent=own, raw=b"nobody knows"),
        ]
    return records


def message(policies: Iterable[int], unit: str = "1", vehicles: int = 1) -> list[Record]:
    """A whole message; `unit` 1: its trailer counts groups, else characters."""
    transactions = [record for number in policies for record in policy(number, vehicles)]
    return [Record("1MHG", {"count_unit_code": unit}, length=161), *transactions, Record("3MTG", length=20)]


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip file with these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Cut bytes into windows at some offsets."""
    return [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]


def windows(data: bytes, size: int) -> list[bytes]:
    """Cut bytes into windows of one size."""
    return cut(data, range(size, len(data), size))


@dataclass(frozen=True, slots=True)
class Parsed:
    """All that came of a parse; tables that have no row are absent."""

    tables: dict[str, pa.Table]
    totals: tuple[FileTotals, ...]

    def rows(self, table: str, *columns: str) -> list[tuple[object, ...]]:
        """Some columns of a table in the order of the file; () if there is none."""
        if table not in self.tables:
            return []
        return list(zip(*(self.tables[table][column].to_pylist() for column in columns), strict=True))

    def rows_of(self, code: str, *columns: str) -> list[tuple[object, ...]]:
        """Some columns of the faults of one code."""
        return [row[1:] for row in self.rows("errors", "code", *columns) if row[0] == code]

    def faults(self) -> list[tuple[object, ...]]:
        """Code and record offset of every fault, sorted; byte offset where there is no record."""
        places = self.rows("errors", "code", "record_offset", "byte_offset")
        return sorted(
            [(code, offset if record is None else record) for code, record, offset in places], key=str
        )


def parse(
    *files: bytes | Sequence[bytes], dictionary: Dictionary = DICTIONARY, pivot: int = 50, name: str = "f"
) -> Parsed:
    """Parse files as one split, each as one window or as given. File n has the id and the path `<name>n`."""
    parser = SplitParser(dictionary, pivot)
    blocks = []
    for number, file in enumerate(files):
        parts = [file] if isinstance(file, bytes) else list(file)
        scan = FormScan()
        for part in parts:
            scan.feed(part)
        scan.feed(b"", final=True)
        blocks += parser.parse(f"{name}{number}", f"{name}{number}", scan.form, parts)
    blocks += parser.flush()
    batches: dict[str, list[pa.RecordBatch]] = {}
    for block in blocks:
        block.batch.validate(full=True)
        batches.setdefault(block.table, []).append(plain_rows(block.batch))
    tables = {table: pa.Table.from_batches(parts) for table, parts in sorted(batches.items())}
    return Parsed(tables, parser.totals())


def as_sets(parsed: Parsed) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, sorted: equal whenever the tables are equal as sets."""
    return {
        table: sorted(zip(*(column.to_pylist() for column in rows.columns), strict=True), key=str)
        for table, rows in parsed.tables.items()
    }


def of_file(parsed: Parsed, file_id: str) -> dict[str, list[tuple[object, ...]]]:
    """The rows of one file, sorted, without what names the file."""
    tables = {
        table: rows.filter(pc.field("file_id") == file_id).drop_columns(
            [column for column in ("file_id", "file_path") if column in rows.column_names]
        )
        for table, rows in parsed.tables.items()
    }
    return as_sets(Parsed({table: rows for table, rows in tables.items() if rows.num_rows}, ()))


def _letters() -> dict[bytes, int]:
    coded = {}
    for byte in range(0x80, 0x100):
        for codec in ("latin-1", "cp1252"):
            if text := bytes([byte]).decode(codec, errors="ignore"):
                coded[text.encode()] = byte
    return coded


_LETTERS = _letters()
_ESCAPE = {
    False: re.compile(rb"(?:\xc3\xba|\xfa|\xb3)([0-9A-Fa-f]{2})([ ?0])"),
    True: re.compile(rb"(?:\xc3\xba|\xc2\xb3|\xfa)([0-9A-Fa-f]{2})([ ?0])"),
}


def expand_plainly(data: bytes, transcoded: bool) -> tuple[bytes, list[int]]:
    """Expand byte by byte (FORMAT.md, Compression): the bytes, and the stored offset of each."""
    expanded, origins, at = bytearray(), list[int](), 0
    while at < len(data):
        if run := _ESCAPE[transcoded].match(data, at):
            became, after = run[2] * int(run[1], 16), run.end()
        else:
            sizes = [size for size in (3, 2) if transcoded and data[at : at + size] in _LETTERS]
            after = at + (sizes[0] if sizes else 1)
            became = bytes([_LETTERS[data[at:after]]]) if sizes else data[at:after]
        expanded += became
        origins += [at] * len(became)
        at = after
    return bytes(expanded), origins
