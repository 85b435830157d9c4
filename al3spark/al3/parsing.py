"""Parse files: a stream of byte windows of each to Arrow batches per table, faults and totals.

In: the windows of one file after the other (any number, any size). Out: blocks of rows; at the end totals by
file. Promises: memory is bounded whatever the size of a file or a transaction; rows do not depend on windows
or on which files are parsed together; every byte of a file is part of a record, a separator or an unreadable
span, and every record is one row: `FileTotals.imbalance` says where that does not hold. Raises nothing,
whatever the bytes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from al3spark.al3.contexts import ContextReader
from al3spark.al3.decoding import DEFAULT_PIVOT
from al3spark.al3.dictionary import Dictionary
from al3spark.al3.faults import KINDS, FaultLog
from al3spark.al3.framing import Framer, Frames
from al3spark.al3.gathering import Block, Gatherer
from al3spark.al3.hidden import find_hidden
from al3spark.al3.hierarchy import Headers, Linker
from al3spark.al3.records import PADDING, Ints, Keys, Window, cut_headers
from al3spark.al3.squeeze import Expander, Form, OffsetMap
from al3spark.al3.stretches import CUT_OFF, Stretch
from al3spark.al3.tables import ERRORS_TABLE
from al3spark.al3.totals import FileTotals
from al3spark.al3.trails import Part

_ERROR_ROWS = 8192


@dataclass(slots=True)
class SplitParser:
    """Parse the files of one split one after the other; `flush` at the end, then `totals`."""

    dictionary: Dictionary
    pivot: int = DEFAULT_PIVOT
    faults: FaultLog = field(default_factory=FaultLog)
    _gatherer: Gatherer = field(init=False)
    _totals: list[FileTotals] = field(default_factory=list)
    _rows: Counter[int] = field(default_factory=Counter)
    _known: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        self._gatherer = Gatherer(self.dictionary, self.faults, self.pivot)
        self._known = frozenset(group.encode("ascii") for group, _ in self.dictionary.titles)

    def parse(
        self, path: str, file_id: str, form: Form, windows: Iterable[bytes], part: Part | None = None
    ) -> Iterator[Block]:
        """Parse one file, or a part of it; give out the blocks that are full.

        The windows of a part cover it and what it looks ahead to (`Part.end`). What `windows` raises passes
        through.
        """
        number = self._begin(FileTotals(path, file_id))
        framer, linker = Framer(self._known), Linker(number, self.faults)
        if part:
            met = [code for code, *_ in part.before.met]
            framer = Framer.inside(self._known, part.start, part.stop, met, opened=bool(met))
            linker = Linker.after(part.before, number, self.faults)
        contexts = ContextReader(self._gatherer.contexts, number, self.faults)
        file = _FileParser(
            number, Expander(form), framer, linker, contexts, self._gatherer, self.faults, part
        )
        for window in windows:
            yield from self._count(file.feed(window))
        yield from self._count(file.feed(b"", final=True))
        self._totals[number] = file.totals(self._totals[number])

    def fail(self, path: str, file_id: str, code: str, message: str, retryable: bool | None = None) -> None:
        """Take up a file that cannot be parsed, or not to its end, with the fault that says why."""
        number = len(self._totals) - 1
        if number < 0 or self._totals[number].path != path:
            number = self._begin(FileTotals(path, file_id))
        can_retry = KINDS[code].retryable if retryable is None else retryable
        self._totals[number] = replace(self._totals[number], failed=code, reason=message, retryable=can_retry)
        self.faults.note(code, message, number, retryable=can_retry)

    def flush(self) -> Iterator[Block]:
        """Give out the rows that wait, then the faults."""
        yield from self._count(self._gatherer.flush())
        yield from self._errors(1)

    def totals(self) -> tuple[FileTotals, ...]:
        """Give the totals of all files; only right after `flush`."""
        counts: dict[int, list[tuple[str, int]]] = {}
        for (number, code), count in sorted(self.faults.counts.items()):
            counts.setdefault(number, []).append((code, count))
        return tuple(
            replace(totals, rows=self._rows[number], fault_counts=tuple(counts.get(number, ())))
            for number, totals in enumerate(self._totals)
        )

    def _begin(self, totals: FileTotals) -> int:
        self._totals.append(totals)
        self._gatherer.file_ids.append(totals.file_id)
        return len(self._totals) - 1

    def _count(self, blocks: Iterable[Block]) -> Iterator[Block]:
        for block in blocks:
            self._rows.update(dict(block.rows_by_file))
            yield block
        yield from self._errors(_ERROR_ROWS)

    def _errors(self, least: int) -> Iterator[Block]:
        if self.faults.pending >= least:
            ids = pa.array(self._gatherer.file_ids, pa.string())
            paths = pa.array([totals.path for totals in self._totals], pa.string())
            batch = self.faults.take(ids, paths)
            if batch:
                yield Block(ERRORS_TABLE, batch)


@dataclass(slots=True)
class _FileParser:
    """Parse one file: expand, frame, link and hand each group's records to the gatherer."""

    number: int
    expander: Expander
    framer: Framer
    linker: Linker
    contexts: ContextReader
    gatherer: Gatherer
    faults: FaultLog
    part: Part | None = None
    size: int = 0
    records: int = 0
    failed: str = ""
    reason: str = ""
    _lost: tuple[int, int] = (-1, -1)  # where the open unreadable span began: expanded, original
    _early: list[int] = field(default_factory=list)  # original offsets of bad lengths before the first record
    _unmapped: dict[bytes, tuple[int, int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for code, offset, length, count in self.part.before.met if self.part else ():
            if not self.gatherer.describes(code):
                self._unmapped[code] = offset, length, count

    def feed(self, window: bytes, final: bool = False) -> Iterator[Block]:
        """Parse the next window; `final` after the last one."""
        self.size += len(window)
        for piece in self.expander.feed(window, final):
            yield from self._take(self.framer.feed(piece))
        if final:
            ends = self.part is None or self.part.end == self.part.file_size
            yield from self._take(self.framer.feed(b"", final=ends))
            if self.part is None or self.part.is_last:
                self._finish()

    def totals(self, begun: FileTotals) -> FileTotals:
        """Give what is known when the last window is through."""
        ahead = self.part.end - self.part.stop if self.part else 0  # that is another part's
        return replace(
            begun,
            size=self.size - ahead,
            expanded_size=self.expander.expanded_size - ahead,
            record_bytes=self.framer.record_bytes,
            separator_bytes=self.framer.separator_bytes,
            unreadable_bytes=self.framer.unreadable_bytes,
            literal_bytes=self.expander.literal_bytes - ahead,
            coded_bytes=self.expander.coded_bytes,
            run_bytes=self.expander.run_bytes,
            messages=self.linker.messages,
            transactions=self.linker.transactions,
            records=self.records,
            failed=self.failed,
            reason=self.reason,
        )

    def _take(self, frames: Frames) -> Iterator[Block]:
        offsets = self.expander.offsets
        self.records += len(frames.starts)
        if len(frames.starts):
            yield from self._take_records(frames, offsets)
            yield from self.gatherer.relieve()
        elif len(frames.span_at):
            self.linker.skip()
        self._report_structure(frames, offsets)
        self.expander.offsets = offsets.since(self.framer.position)

    def _take_records(self, frames: Frames, offsets: OffsetMap) -> Iterator[Block]:
        window = Window(frames.data + PADDING, b"\0" in frames.data)
        starts = frames.base + frames.starts
        sizes = frames.lengths.copy()
        if frames.truncated:
            sizes[-1] = len(frames.data) - frames.starts[-1]
        headers = _read_headers(window, frames, offsets.locate(starts), starts, sizes)
        span_at = np.concatenate([frames.span_at, find_hidden(frames, headers.groups, self._is_known)])
        links = self.linker.link(headers, span_at, window.data, frames.starts)
        contents = _content_sizes(window, frames.starts, sizes, headers.is_data)
        contexts = self.contexts.read(
            window, frames.starts, contents, starts, headers.groups, links.transaction
        )
        keys = Keys(
            np.full(len(starts), self.number),
            headers.offsets,
            frames.lengths,
            links.message,
            links.transaction,
            links.parent,
            starts,
            np.full(len(starts), self.gatherer.misfits.add_map(offsets)),
            contexts,
        )
        groups = headers.groups
        if frames.truncated:
            self._report_truncated(frames, headers)
            groups = np.append(groups[:-1], CUT_OFF)
        self._note_unmapped(groups, keys)
        stretch = Stretch(window, frames.starts, sizes, contents, groups, keys)
        yield from self.gatherer.take(stretch, hold=self.contexts.is_waiting)

    def _is_known(self, code: bytes) -> bool:
        return code in self.framer.known or self.gatherer.describes(code)

    def _note_unmapped(self, groups: Ints, keys: Keys) -> None:
        met, firsts, counts = np.unique(groups, return_index=True, return_counts=True)
        for group, first, count in zip(met.tolist(), firsts.tolist(), counts.tolist(), strict=True):
            code = group.to_bytes(4, "little")
            if group != CUT_OFF and not self.gatherer.describes(code):
                place = int(keys.offsets[first]), int(keys.lengths[first]), 0
                offset, length, before = self._unmapped.get(code, place)
                self._unmapped[code] = offset, length, before + count

    def _report_truncated(self, frames: Frames, headers: Headers) -> None:
        missing = int(frames.lengths[-1]) - (len(frames.data) - int(frames.starts[-1]))
        group = int(headers.groups[-1]).to_bytes(4, "little").decode("ascii")
        text = f"the file ends {missing} bytes before the record does"
        offset = int(headers.offsets[-1])
        end = self.part.file_size if self.part else self.size
        self.faults.note(
            "RECORD_TRUNCATED",
            text,
            self.number,
            record=offset,
            offset=offset,
            length=end - offset,
            group=group,
        )

    def _report_structure(self, frames: Frames, offsets: OffsetMap) -> None:
        """Report unreadable spans and bad lengths, unless the file holds no record at all."""
        self._early += offsets.locate(frames.bad_lengths).tolist()
        begins, ends = offsets.locate(frames.span_starts).tolist(), offsets.locate(frames.span_ends).tolist()
        if frames.span_starts.tolist()[:1] == [self._lost[0]]:
            begins[0] = self._lost[1]
        lost_at = self.framer.lost_at
        if lost_at != self._lost[0]:
            self._lost = (lost_at, int(offsets.locate(np.array([lost_at]))[0])) if lost_at >= 0 else (-1, -1)
        if not self.framer.opened:
            return
        for offset in self._early:
            text = "a designator whose length cannot be"
            self.faults.note("LENGTH_INVALID", text, self.number, record=offset, offset=offset + 4, length=3)
        self._early = []
        for begin, end in zip(begins, ends, strict=True):
            text = f"{end - begin} bytes are no record"
            self.faults.note("BYTES_UNREADABLE", text, self.number, offset=begin, length=end - begin)

    def _finish(self) -> None:
        self.linker.finish()
        for code, (offset, length, count) in self._unmapped.items():
            name = code.decode("ascii")
            text = f"the dictionary does not describe this group: {count} records are kept in unmapped_groups"
            self.faults.note(
                "GROUP_UNMAPPED", text, self.number, record=offset, offset=offset, length=length, group=name
            )
        if not self.size:
            self._fail("FILE_EMPTY", "the file has no bytes")
        elif not self.records:
            self._fail("FILE_NOT_AL3", "no AL3 record in it")

    def _fail(self, code: str, message: str) -> None:
        self.failed, self.reason = code, message
        self.faults.note(code, message, self.number)


def _read_headers(window: Window, frames: Frames, offsets: Ints, starts: Ints, sizes: Ints) -> Headers:
    cells = cut_headers(window, frames.starts, sizes)
    is_data = ~((cells[:, 0] >= ord("0")) & (cells[:, 0] < ord("5")))

    def number(start: int, size: int) -> Ints:
        kind = "<u4" if size == 4 else "<u2"
        return np.ascontiguousarray(cells[:, start : start + size]).view(kind).ravel().astype(np.int64)

    fields = (number(0, 4), number(10, 2), number(12, 4), number(16, 4), number(20, 2), number(22, 4))
    return Headers(*fields, offsets, starts, sizes, is_data)


def _content_sizes(window: Window, positions: Ints, sizes: Ints, is_data: npt.NDArray[np.bool_]) -> Ints:
    """Bytes of each record without a CR and LF that its length counts at its end (FORMAT.md, Separators)."""
    codes = np.frombuffer(window.data, np.uint8)
    last, before = codes[positions + sizes - 1], codes[positions + sizes - 2]
    ends_line = (last == 10) | (last == 13)
    trimmed = sizes - ends_line - (ends_line & (before == 13))
    return np.asarray(np.maximum(trimmed, np.where(is_data, 30, 10)))
