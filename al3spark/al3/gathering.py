"""Collect the records of each group, over windows and files, into matrices that are worth decoding.

In: the linked records of one window after the other. Out: record batches, one table each, of bounded size.
Decoding costs a fixed amount per call, so small files share their batches. Promises: every record given in
comes out as one row, of its group's table or of `unmapped_groups`; values that do not fit are in the fault
log. Raises nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from al3spark.al3.blocks import Block, block_schema
from al3spark.al3.cells import Cells, Matrix, decode_text, examine
from al3spark.al3.contexts import Contexts
from al3spark.al3.decoding import DEFAULT_PIVOT, decode_group
from al3spark.al3.dictionary import CONTEXT_COLUMNS, Dictionary, Element, Layout
from al3spark.al3.faults import FaultLog
from al3spark.al3.leading import KEY_COLUMNS, decode_leading
from al3spark.al3.memory import keep_freed_memory
from al3spark.al3.misfits import Misfits
from al3spark.al3.oddities import find_odd, without_odd
from al3spark.al3.records import HEADER, Keys, Window, blank_tails, cut_headers, join_keys, whole_sizes
from al3spark.al3.stretches import Stretch, WaitingStretches, by_group
from al3spark.al3.tables import UNMAPPED_SCHEMA, UNMAPPED_TABLE, layout_schema
from al3spark.al3.tails import Tails, cut_tails, join_tails

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BATCH_BYTES = 4 << 20
_BATCH_ROWS = 8192
_PENDING_BYTES = 48 << 20
_STRETCH_BYTES = 4 << 20  # windows of small files are put together until they are so large
_CONTEXTS = 1 << 15  # settled ones: each deal copies them
_UNMAPPED_BLOCK = block_schema(UNMAPPED_SCHEMA, CONTEXT_COLUMNS)


@dataclass(slots=True)
class _Pending:
    """Records of one group that wait to be decoded."""

    layout: Layout
    schema: pa.Schema
    batch_rows: int
    whole: Ints  # int64[1000]: bytes of a record of each length that hold whole values
    torn: Mask  # bool[1000]: a record of that length ends inside an element
    context: tuple[str, ...]  # columns about the transaction
    matrices: list[Bytes] = field(default_factory=list)
    keys: list[Keys] = field(default_factory=list)
    tails: list[Tails] = field(default_factory=list)
    rows: int = 0


@dataclass(slots=True)
class Gatherer:
    """Gather records of any number of files; `file_ids` names the files by their number.

    Faults of values go to `faults`. Memory: about 48 MiB of waiting records, whatever the input.
    """

    dictionary: Dictionary
    faults: FaultLog
    pivot: int = DEFAULT_PIVOT
    file_ids: list[str] = field(default_factory=list)
    contexts: Contexts = field(init=False)
    misfits: Misfits = field(init=False)
    _pending: dict[bytes, _Pending] = field(default_factory=dict)
    _unmapped: list[tuple[Keys, Bytes, list[bytes]]] = field(default_factory=list)
    _unmapped_bytes: int = 0
    _pending_bytes: int = 0
    _waiting: WaitingStretches = field(default_factory=WaitingStretches)
    _scratch: Bytes = field(default_factory=lambda: np.empty(0, np.uint8))

    def __post_init__(self) -> None:
        keep_freed_memory()
        self.contexts = Contexts(self.dictionary, self.pivot)
        self.misfits = Misfits(self.faults)
        self._pending = {layout.group.encode(): _prepare(layout) for layout in self.dictionary.layouts}

    def describes(self, group: bytes) -> bool:
        """Whether the dictionary has a layout for a group."""
        return group in self._pending

    def take(self, stretch: Stretch, awaited: int | None = None) -> Iterator[Block]:
        """Take up the records of a window; give out what is ripe.

        `awaited`: the last context, if it is not known yet. The windows from the one on in which its
        transaction begins wait for it.
        """
        self._waiting.add(stretch, awaited)
        if self._waiting.size >= _STRETCH_BYTES:
            yield from self._deal()

    def end_file(self) -> None:
        """Wait for no context any more: the file has ended."""
        self._waiting.await_none()

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
        torn = np.flatnonzero(pending.torn[contents])
        if len(torn):
            self.misfits.report_torn(pending.layout, keys[torn], contents[torn])
        pending.matrices.append(matrix)
        pending.keys.append(keys)
        pending.tails.append(cut_tails(window, positions, contents, width))
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
        """Give out everything that waits for no context if it is too much; only between windows."""
        waiting = self._pending_bytes + self.misfits.map_bytes
        if waiting > _PENDING_BYTES or self.contexts.settled > _CONTEXTS:
            yield from self._give_out()

    def flush(self) -> Iterator[Block]:
        """Give out everything; no context comes any more."""
        self.end_file()
        yield from self._give_out()

    def _give_out(self) -> Iterator[Block]:
        """Give out what waits for no context, and forget what only that needed."""
        yield from self._deal()
        for pending in self._pending.values():
            yield from self._ripe(pending, 1)
        yield from self._flush_unmapped()
        held = self._waiting.keys
        self.misfits.forget(int(held.maps[0]) if held else None)
        self.contexts.forget(int(held.contexts[held.contexts >= 0].min()) if held else None)

    def _deal(self) -> Iterator[Block]:
        """Hand the records that were taken up to their groups, but for those that wait for a context."""
        stretch = self._waiting.take_ready()
        if stretch is None:
            return
        self.contexts.settle(self._waiting.awaited)
        groups, order, ends = by_group(stretch.groups)
        for group, begin, end in zip(groups, [0, *ends], ends, strict=False):
            at = order[begin:end]
            code = group.to_bytes(4, "little")
            window, positions, keys = stretch.window, stretch.positions[at], stretch.keys[at]
            if self.describes(code):
                yield from self.add(code, window, positions, stretch.contents[at], keys)
            else:
                yield from self.add_unmapped(window, positions, stretch.sizes[at], keys)

    def _ripe(self, pending: _Pending, least: int) -> Iterator[Block]:
        if pending.rows < least:
            return
        matrix, keys, tails = self._join(pending.matrices), join_keys(pending.keys), join_tails(pending.tails)
        rows, done = pending.rows, 0
        while rows - done >= least:
            here = slice(done, min(done + pending.batch_rows, rows))
            tail, tails = tails.split(here.stop - done)
            yield self._decode(pending, matrix[here], keys[here], tail)
            done = here.stop
        rest = slice(done, None)
        pending.matrices, pending.keys, pending.tails = [matrix[rest].copy()], [keys[rest]], [tails]
        pending.rows -= done
        self._pending_bytes -= done * pending.layout.length

    def _join(self, parts: list[Bytes]) -> Bytes:
        """Put parts one behind the other, in memory that is used again: fresh memory costs page faults."""
        rows, width = sum(map(len, parts)), parts[0].shape[1]
        if len(self._scratch) < rows * width:
            self._scratch = np.empty(rows * width, np.uint8)
        matrix = self._scratch[: rows * width].reshape(rows, width)
        np.concatenate(parts, out=matrix)
        return matrix

    def _decode(self, pending: _Pending, rows: Bytes, keys: Keys, tails: Tails) -> Block:
        matrix = examine(rows)
        decoded = decode_group(pending.layout, matrix, self.pivot, self.dictionary.hash_key)
        for element, invalid in decoded.invalid:
            self.misfits.report_values(element, np.flatnonzero(invalid), rows, keys)
        values, extra = decoded.arrays, self._untyped(tails.column())
        leading = self._leading(keys, matrix, pending.layout.header_length)
        if self.dictionary.hides_odd:
            misfits = [invalid for _, invalid in decoded.invalid]
            odd = find_odd(rows, pending.layout.header_length, misfits)
            leading, values = _without_odd_headers(leading, odd), without_odd(values, odd)
        columns = [*leading, *self.contexts.columns(keys.contexts, pending.context), *values, extra]
        batch = pa.RecordBatch.from_arrays(columns, schema=pending.schema)
        return Block(pending.layout.table, batch, _count_files(keys))

    def _flush_unmapped(self) -> Iterator[Block]:
        if not self._unmapped:
            return
        keys = join_keys([keys for keys, _, _ in self._unmapped])
        header = np.concatenate([header for _, header, _ in self._unmapped])
        raws = [raw for _, _, raws in self._unmapped for raw in raws]
        self._unmapped, self._unmapped_bytes = [], 0
        leading = self._leading(keys, examine(header), HEADER)
        if self.dictionary.hides_odd:
            leading = _without_odd_headers(leading, find_odd(header, HEADER))
        columns = [
            *leading,
            *self.contexts.columns(keys.contexts, tuple(CONTEXT_COLUMNS)),
            decode_text(Cells(header[:, :4], is_ascii=True)),
            self._untyped(pa.array(raws, pa.binary())),
        ]
        batch = pa.RecordBatch.from_arrays(columns, schema=_UNMAPPED_BLOCK)
        yield Block(UNMAPPED_TABLE, batch, _count_files(keys))

    def _untyped(self, contents: pa.Array) -> pa.Array:
        return contents if self.dictionary.keeps_untyped else pa.nulls(len(contents), contents.type)

    def _leading(self, keys: Keys, matrix: Matrix, header_length: int) -> tuple[pa.Array, ...]:
        leading = decode_leading(keys, matrix, header_length, pa.array(self.file_ids, pa.string()))
        for name, start, invalid in leading.invalid:
            bad = np.flatnonzero(invalid)
            groups = np.ascontiguousarray(matrix.rows[bad, :4]).view("<u4").ravel()
            for group in np.unique(groups).tolist():
                code = group.to_bytes(4, "little").decode("latin-1")
                field_of = Element(code, name, start, 4, "integer")
                self.misfits.report_values(field_of, bad[groups == group], matrix.rows, keys)
        return leading.arrays


def _prepare(layout: Layout) -> _Pending:
    """Compile what a layout says about records of each length."""
    schema = block_schema(layout_schema(layout), layout.context_columns)
    row_bytes = 100 + sum(
        8 if pa.types.is_string(kind) else max(kind.bit_width // 8, 1) for kind in schema.types[:-1]
    )
    row_bytes += layout.length
    torn = np.zeros(1000, bool)
    for element in layout.elements:
        torn[element.start + 1 : element.end] = element.kind != "gap"
    return _Pending(
        layout,
        schema,
        min(max(BATCH_BYTES // row_bytes, 256), _BATCH_ROWS),
        whole_sizes(layout),
        torn,
        layout.context_columns,
    )


def _without_odd_headers(leading: tuple[pa.Array, ...], odd: Mask) -> tuple[pa.Array, ...]:
    """Leave of odd records the keys alone."""
    return (*leading[:KEY_COLUMNS], *without_odd(leading[KEY_COLUMNS:], odd))


def _count_files(keys: Keys) -> tuple[tuple[int, int], ...]:
    files, counts = np.unique(keys.files, return_counts=True)
    return tuple(zip(files.tolist(), counts.tolist(), strict=True))
