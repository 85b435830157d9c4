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

import pyarrow as pa

from al3spark.al3.blocks import Block
from al3spark.al3.contexts import ContextReader
from al3spark.al3.decoding import DEFAULT_PIVOT
from al3spark.al3.dictionary import Dictionary
from al3spark.al3.faults import KINDS, FaultLog
from al3spark.al3.file_parsing import FileParser
from al3spark.al3.framing import Framer
from al3spark.al3.gathering import Gatherer
from al3spark.al3.hierarchy import Linker
from al3spark.al3.squeeze import Expander, Form
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
        file = FileParser(number, Expander(form), framer, linker, contexts, self._gatherer, self.faults, part)
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
