"""Count what a dictionary describes of the records of a corpus, and what it does not.

In: blocks of the parser. Out: counts by group and version, which add up over splits. Promises: a record of a
group counts once, whatever its table; a record that the end of its file cuts off is counted apart, for it
says nothing of a layout. Shapes are kept of values that do not fit, never values. Raises nothing.
"""

import json
from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from al3spark.al3.blocks import Block
from al3spark.al3.dictionary import Dictionary
from al3spark.al3.tables import ERRORS_TABLE, UNMAPPED_TABLE

MOST_SHAPES = 64  # of one element that a split remembers
_VALUE_CODES = pa.array(["VALUE_INVALID", "GROUP_TOO_SHORT"])

Kind = tuple[str, str, int]  # group, version, length as the header says
Gap = tuple[str, int]  # group, start
Misfit = tuple[str, str, str]  # group, element, code of the fault


@dataclass(slots=True)
class Seen:
    """What was seen in blocks.

    `records` and `extra` (bytes behind the layout) by kind; `filled`: records with something in a gap that is
    no blank; `misfits`: values that do not fit, `shapes` some of their shapes; `cut_off`: records.
    """

    records: Counter[Kind] = field(default_factory=Counter)
    extra: Counter[Kind] = field(default_factory=Counter)
    filled: Counter[Gap] = field(default_factory=Counter)
    misfits: Counter[Misfit] = field(default_factory=Counter)
    shapes: dict[Misfit, Counter[str]] = field(default_factory=dict)
    cut_off: int = 0

    def add(self, other: "Seen") -> None:
        """Take up what was seen elsewhere."""
        self.records.update(other.records)
        self.extra.update(other.extra)
        self.filled.update(other.filled)
        self.misfits.update(other.misfits)
        for misfit, shapes in other.shapes.items():
            self.shapes.setdefault(misfit, Counter()).update(shapes)
        self.cut_off += other.cut_off

    def to_bytes(self) -> bytes:
        """For the way to the driver."""
        counters = (self.records, self.extra, self.filled, self.misfits)
        shapes = [[*misfit, dict(shapes)] for misfit, shapes in self.shapes.items()]
        lists = [[[*key, count] for key, count in counter.items()] for counter in counters]
        return json.dumps([*lists, shapes, self.cut_off]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Seen":
        """Read what `to_bytes` made."""
        *lists, shapes, cut_off = json.loads(data)
        records, extra, filled, misfits = (
            Counter({tuple(key): count for *key, count in each}) for each in lists
        )
        by_misfit = {(group, name, code): Counter(each) for group, name, code, each in shapes}
        return cls(records, extra, filled, misfits, by_misfit, cut_off)


@dataclass(slots=True)
class Observer:
    """Look at the blocks of a split, one after the other."""

    dictionary: Dictionary
    seen: Seen = field(default_factory=Seen)
    _groups: dict[str, str] = field(default_factory=dict)
    _gaps: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)  # column and start, by table

    def __post_init__(self) -> None:
        for layout in self.dictionary.layouts:
            self._groups[layout.table] = layout.group
            gaps = [element for element in layout.elements if element.kind == "gap"]
            self._gaps[layout.table] = tuple((gap.name, gap.start) for gap in gaps)

    def look(self, block: Block) -> None:
        """Count what is in a block."""
        if block.table == ERRORS_TABLE:
            self._look_at_faults(block.batch)
        elif block.table == UNMAPPED_TABLE:
            self._look_at_unmapped(block.batch)
        else:
            group, batch = self._groups[block.table], block.batch
            sizes = pc.fill_null(pc.binary_length(batch.column("extra_bytes")), 0)
            codes = pa.repeat(group, batch.num_rows)
            self._count(codes, batch.column("group_version"), batch.column("record_length"), sizes)
            for column, start in self._gaps[block.table]:
                filled = batch.num_rows - batch.column(column).null_count
                if filled:
                    self.seen.filled[group, start] += filled

    def _look_at_unmapped(self, batch: pa.RecordBatch) -> None:
        lengths = batch.column("record_length")
        whole = pc.equal(pc.binary_length(batch.column("raw")), lengths)
        self.seen.cut_off += batch.num_rows - (pc.sum(whole).as_py() or 0)
        columns = (batch.column("group_code"), batch.column("group_version"), lengths)
        codes, versions, lengths = (column.filter(whole) for column in columns)
        self._count(codes, versions, lengths, pa.repeat(0, len(codes)))

    def _count(self, groups: pa.Array, versions: pa.Array, lengths: pa.Array, extra: pa.Array) -> None:
        kinds = pa.table(
            {"group": groups, "version": pc.fill_null(versions, ""), "length": lengths, "extra": extra}
        )
        counted = kinds.group_by(["group", "version", "length"], use_threads=False).aggregate(
            [("extra", "count"), ("extra", "sum")]
        )
        for row in counted.to_pylist():
            kind = row["group"], row["version"], row["length"]
            self.seen.records[kind] += row["extra_count"]
            if row["extra_sum"]:
                self.seen.extra[kind] += row["extra_sum"]

    def _look_at_faults(self, errors: pa.RecordBatch) -> None:
        chosen = errors.filter(pc.is_in(errors.column("code"), _VALUE_CODES))
        columns = (chosen.column(name).to_pylist() for name in ("group_code", "element", "code", "raw"))
        for *place, raw in zip(*columns, strict=True):
            misfit = (place[0], place[1], place[2])
            self.seen.misfits[misfit] += 1
            shapes = self.seen.shapes.setdefault(misfit, Counter())
            if raw is not None and (raw in shapes or len(shapes) < MOST_SHAPES):
                shapes[raw] += 1
