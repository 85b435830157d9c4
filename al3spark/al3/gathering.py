"""Collect the records of each group, over windows and files, into matrices that are worth decoding.

In: the linked records of one window after the other. Out: record batches, one table each, of bounded size.
Decoding costs a fixed amount per call, so small files share their batches. Promises: every record given in
comes out as one row, of its group's table or of `unmapped_groups`; values that do not fit are in the fault
log. Raises nothing.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from al3spark.al3.decoding import BLANK, DEFAULT_PIVOT, decode_group, decode_text, read_integers
from al3spark.al3.dictionary import KINDS, Dictionary, Element, Layout
from al3spark.al3.faults import FaultLog, Faults, nullable, shape
from al3spark.al3.records import HEADER, Keys, Window, blank_tails, cut_headers, join_keys
from al3spark.al3.squeeze import OffsetMap
from al3spark.al3.tables import UNMAPPED_SCHEMA, UNMAPPED_TABLE, layout_schema

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BATCH_BYTES = 4 << 20
_BATCH_ROWS = 8192
_PENDING_BYTES = 64 << 20
_FLAGS = (7, 9, 26, 27, 28, 29)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one table; `rows_by_file` counts them by the number of their file."""

    table: str
    batch: pa.RecordBatch
    rows_by_file: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class _Pending:
    """Records of one group that wait to be decoded; `extras` is what follows the layout in each, or None."""

    layout: Layout
    schema: pa.Schema
    batch_rows: int
    whole: Ints  # int64[1000]: bytes of a record of each length that hold whole values
    torn: Mask  # bool[1000]: a record of that length ends inside an element
    matrices: list[Bytes] = field(default_factory=list)
    keys: list[Keys] = field(default_factory=list)
    extras: list[bytes | None] = field(default_factory=list)
    rows: int = 0

    def join(self) -> None:
        if len(self.matrices) > 1:
            self.matrices, self.keys = [np.concatenate(self.matrices)], [join_keys(self.keys)]


@dataclass(slots=True)
class Gatherer:
    """Gather records of any number of files; `file_ids` names the files by their number.

    Faults of values go to `faults`. Memory: about 64 MiB of waiting records, whatever the input.
    """

    dictionary: Dictionary
    faults: FaultLog
    pivot: int = DEFAULT_PIVOT
    file_ids: list[str] = field(default_factory=list)
    _maps: list[OffsetMap] = field(default_factory=list)
    _map_bytes: int = 0
    _pending: dict[bytes, _Pending] = field(default_factory=dict)
    _unmapped: list[tuple[Keys, Bytes, list[bytes]]] = field(default_factory=list)
    _unmapped_bytes: int = 0
    _pending_bytes: int = 0

    def __post_init__(self) -> None:
        self._pending = {layout.group.encode(): _prepare(layout) for layout in self.dictionary.layouts}

    def describes(self, group: bytes) -> bool:
        """Whether the dictionary has a layout for a group."""
        return group in self._pending

    def add_map(self, offsets: OffsetMap) -> int:
        """Take up a window's way back to the original file; returns its number for `Keys.maps`."""
        if not (self._maps and self._maps[-1] is offsets):
            self._maps.append(offsets)
            self._map_bytes += 4 * offsets.start.nbytes
        return len(self._maps) - 1

    def add(
        self, group: bytes, window: Window, positions: Ints, contents: Ints, keys: Keys
    ) -> Iterator[Block]:
        """Take up records of one described group; give out what is ripe.

        Shapes: `positions` int64[n] in the window; `contents` int64[n], bytes of the record but for a line
        end inside its length.
        """
        pending = self._pending[group]
        width = pending.layout.length
        matrix = window.matrix(positions, width)
        blank_tails(matrix, pending.whole[contents])
        self._report_torn(pending, keys, contents)
        extras = (
            [
                window.data[at + width : at + size] if size > width else None
                for at, size in zip(positions.tolist(), contents.tolist(), strict=True)
            ]
            if int(contents.max()) > width
            else [None] * len(positions)
        )
        pending.matrices.append(matrix)
        pending.keys.append(keys)
        pending.extras += extras
        pending.rows += len(positions)
        self._pending_bytes += matrix.nbytes
        if pending.rows >= pending.batch_rows:
            yield from self._ripe(pending, pending.batch_rows)

    def add_unmapped(self, window: Window, positions: Ints, sizes: Ints, keys: Keys) -> Iterator[Block]:
        """Take up records without a layout, or cut off by the end of the file; their bytes are kept."""
        raws = [
            window.data[at : at + size] for at, size in zip(positions.tolist(), sizes.tolist(), strict=True)
        ]
        header = cut_headers(window, positions, sizes)
        self._unmapped.append((keys, header, raws))
        self._unmapped_bytes += int(sizes.sum()) + header.nbytes
        if self._unmapped_bytes >= BATCH_BYTES:
            yield from self._flush_unmapped()

    def relieve(self) -> Iterator[Block]:
        """Give out everything if too much waits; only between windows, whose maps it forgets."""
        if self._pending_bytes + self._map_bytes > _PENDING_BYTES:
            yield from self.flush()

    def flush(self) -> Iterator[Block]:
        """Give out everything that waits."""
        for pending in self._pending.values():
            yield from self._ripe(pending, 1)
        yield from self._flush_unmapped()
        self._maps.clear()
        self._map_bytes = 0

    def _ripe(self, pending: _Pending, least: int) -> Iterator[Block]:
        pending.join()
        done = 0
        while pending.rows - done >= least:
            size = min(pending.batch_rows, pending.rows - done)
            rows = slice(done, done + size)
            yield self._decode(
                pending, pending.matrices[0][rows], pending.keys[0][rows], pending.extras[rows]
            )
            done += size
        if done:
            pending.matrices, pending.keys = (
                [pending.matrices[0][done:].copy()],
                [pending.keys[0][slice(done, None)]],
            )
            self._pending_bytes -= done * pending.layout.length
            del pending.extras[:done]
            pending.rows -= done
        if not pending.rows:
            pending.matrices, pending.keys = [], []

    def _decode(self, pending: _Pending, matrix: Bytes, keys: Keys, extras: list[bytes | None]) -> Block:
        header = matrix[:, :HEADER]
        if pending.layout.header_length < HEADER:
            header = np.full((len(matrix), HEADER), BLANK, np.uint8)
            header[:, : pending.layout.header_length] = matrix[:, : pending.layout.header_length]
        decoded = decode_group(pending.layout, matrix, self.pivot)
        for element, invalid in decoded.invalid:
            self._report_values(element, np.flatnonzero(invalid), matrix, keys)
        tail = pa.array(extras, pa.binary()) if any(extras) else pa.nulls(len(extras), pa.binary())
        columns = [*self._leading(keys, header), *decoded.arrays, tail]
        batch = pa.RecordBatch.from_arrays(columns, schema=pending.schema)
        return Block(pending.layout.table, batch, _count_files(keys))

    def _flush_unmapped(self) -> Iterator[Block]:
        if not self._unmapped:
            return
        keys = join_keys([keys for keys, _, _ in self._unmapped])
        header = np.concatenate([header for _, header, _ in self._unmapped])
        raws = [raw for _, _, raws in self._unmapped for raw in raws]
        self._unmapped, self._unmapped_bytes = [], 0
        code = decode_text(header[:, :4], np.zeros(len(header), bool))
        columns = [*self._leading(keys, header), code, pa.array(raws, pa.binary())]
        yield Block(
            UNMAPPED_TABLE, pa.RecordBatch.from_arrays(columns, schema=UNMAPPED_SCHEMA), _count_files(keys)
        )

    def _leading(self, keys: Keys, header: Bytes) -> list[pa.Array]:
        """Make the columns that every table starts with."""
        return [
            pa.array(self.file_ids, pa.string()).take(pa.array(keys.files)),
            pa.array(keys.offsets),
            pa.array(keys.lengths.astype(np.int32)),
            nullable(keys.messages),
            nullable(keys.transactions),
            nullable(keys.parents),
            _text(header[:, 8:9]),
            _text(header[:, 10:12]),
            self._iteration("iteration", 12, keys, header),
            _text(header[:, 16:20]),
            _text(header[:, 20:22]),
            self._iteration("parent_iteration", 22, keys, header),
            _text(header[:, _FLAGS]),
        ]

    def _iteration(self, name: str, start: int, keys: Keys, header: Bytes) -> pa.Array:
        part = header[:, start : start + 4]
        blank = (part == BLANK).all(axis=1)
        values, fits = read_integers(np.ascontiguousarray(part.T))
        bad = np.flatnonzero(~fits & ~blank)
        if len(bad):
            for group in np.unique(header[bad, :4], axis=0):
                rows = bad[(header[bad, :4] == group).all(axis=1)]
                field_of = Element(group.tobytes().decode("latin-1"), name, start, 4, "integer")
                self._report_values(field_of, rows, header, keys)
        return pa.array(values.astype(np.int32), mask=~fits)

    def _report_values(self, element: Element, rows: Ints, matrix: Bytes, keys: Keys) -> None:
        chosen = keys[rows]
        begin, end = self._locate(chosen, element.start), self._locate(chosen, element.end)
        raws = tuple(shape(row.tobytes()) for row in matrix[rows, element.start : element.end])
        text = f"is no {element.kind}"
        self.faults.add(
            Faults(
                "VALUE_INVALID",
                text,
                chosen.files,
                chosen.offsets,
                begin,
                end - begin,
                element.group,
                element.name,
                element.element_id or None,
                raws,
            )
        )

    def _report_torn(self, pending: _Pending, keys: Keys, contents: Ints) -> None:
        torn = np.flatnonzero(pending.torn[contents])
        for size in np.unique(contents[torn]).tolist():
            chosen = keys[torn[contents[torn] == size]]
            element = next(each for each in pending.layout.elements if each.start < size < each.end)
            text = f"a record of {size} bytes ends inside the element"
            begin = self._locate(chosen, element.start)
            length = self._locate(chosen, size) - begin
            self.faults.add(
                Faults(
                    "GROUP_TOO_SHORT",
                    text,
                    chosen.files,
                    chosen.offsets,
                    begin,
                    length,
                    element.group,
                    element.name,
                    element.element_id or None,
                )
            )

    def _locate(self, keys: Keys, position: int) -> Ints:
        """Give the original offset of a position in each record."""
        found = np.empty(len(keys.starts), np.int64)
        for number in np.unique(keys.maps).tolist():
            here = keys.maps == number
            found[here] = self._maps[number].locate(keys.starts[here] + position)
        return found


def _prepare(layout: Layout) -> _Pending:
    """Compile what a layout says about records of each length."""
    schema = layout_schema(layout)
    row_bytes = 100 + sum(
        8 if pa.types.is_string(kind) else max(kind.bit_width // 8, 1) for kind in schema.types[:-1]
    )
    row_bytes += layout.length
    whole = np.minimum(np.arange(1000), layout.length)
    torn = np.zeros(1000, bool)
    for element in layout.elements:
        inside = slice(element.start + 1, element.end)
        torn[inside] = element.kind != "gap"
        if KINDS[element.kind] != "string" or element.kind == "time_hhmm":
            whole[inside] = element.start
    return _Pending(layout, schema, min(max(BATCH_BYTES // row_bytes, 256), _BATCH_ROWS), whole, torn)


def _text(part: Bytes) -> pa.Array:
    return decode_text(part, (part == BLANK).all(axis=1))


def _count_files(keys: Keys) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(Counter(keys.files.tolist()).items()))
