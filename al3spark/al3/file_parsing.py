"""Parse one file, or a part of it: expand, frame, link, and hand each group's records to the gatherer.

In: its windows, in order. Out: the blocks that are full; totals when the last window is through. Promises:
rows do not depend on windows; faults of structure are noted once, whatever the windows. Raises nothing.
Leaves to others: what the records say (`gathering.py`), and which files are parsed together (`parsing.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from al3spark.al3.blocks import Block
from al3spark.al3.contexts import ContextReader
from al3spark.al3.faults import FaultLog
from al3spark.al3.framing import Framer, Frames
from al3spark.al3.gathering import Gatherer
from al3spark.al3.hidden import find_hidden
from al3spark.al3.hierarchy import Headers, Linker
from al3spark.al3.records import PADDING, Ints, Keys, Window, cut_headers
from al3spark.al3.squeeze import Expander, OffsetMap
from al3spark.al3.stretches import CUT_OFF, Stretch
from al3spark.al3.totals import FileTotals
from al3spark.al3.trails import Part


@dataclass(slots=True)
class FileParser:
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
            self.gatherer.end_file()
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
        yield from self.gatherer.take(stretch, self.contexts.awaited)

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
