"""Faults: what is wrong in the data, as rows of the `errors` table.

The codes are stable; users test the code, not the text. A fault never holds a value, only its shape (digits
as 9, letters as A) where the caller asks for it.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]

ERROR, WARNING = "error", "warning"
_STRING = pa.string()


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What is always true of faults with one code; `retryable` says whether waiting can help."""

    code: str
    severity: str
    category: str
    retryable: bool = False


KINDS = {
    kind.code: kind
    for kind in (
        FaultKind("FILE_UNREADABLE", ERROR, "file"),
        FaultKind("FILE_EMPTY", ERROR, "file"),
        FaultKind("FILE_NOT_AL3", ERROR, "file"),
        FaultKind("FILE_CHANGED", ERROR, "file", retryable=True),
        FaultKind("FILE_CRASHED_WORKER", ERROR, "file"),
        FaultKind("BYTES_UNREADABLE", ERROR, "structure"),
        FaultKind("LENGTH_INVALID", ERROR, "structure"),
        FaultKind("RECORD_TRUNCATED", ERROR, "structure"),
        FaultKind("GROUP_TOO_SHORT", ERROR, "structure"),
        FaultKind("GROUP_UNMAPPED", WARNING, "structure"),
        FaultKind("RECORD_OUTSIDE_TRANSACTION", ERROR, "hierarchy"),
        FaultKind("TRANSACTION_UNCERTAIN", ERROR, "hierarchy"),
        FaultKind("TRAILER_MISSING", WARNING, "hierarchy"),
        FaultKind("TRAILER_COUNT_MISMATCH", WARNING, "hierarchy"),
        FaultKind("POLICY_NOT_FOUND", WARNING, "hierarchy"),
        FaultKind("PARENT_MISSING", ERROR, "hierarchy"),
        FaultKind("PARENT_ITERATION_MISMATCH", WARNING, "hierarchy"),
        FaultKind("VALUE_INVALID", ERROR, "value"),
    )
}

ERRORS_SCHEMA = pa.schema(
    [
        ("file_id", pa.string()),
        ("file_path", pa.string()),
        ("severity", pa.string()),
        ("category", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
        ("group_code", pa.string()),
        ("element", pa.string()),
        ("element_id", pa.string()),
        ("record_offset", pa.int64()),
        ("byte_offset", pa.int64()),
        ("byte_length", pa.int64()),
        ("raw", pa.string()),
        ("retryable", pa.bool_()),
    ]
)

_SHAPE = bytes(
    ord("9")
    if 48 <= byte <= 57
    else ord("A")
    if chr(byte).isalpha()
    else byte
    if 32 <= byte < 127
    else ord("?")
    for byte in range(256)
)


def shape(raw: bytes) -> str:
    """Give the shape of a value: every digit a 9, every letter an A, what cannot be printed a `?`."""
    return raw.translate(_SHAPE).decode("ascii")


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults of one code in one place of the code: scalars that they share, arrays of what differs.

    Shapes: `files`, `records`, `offsets`, `lengths` int64[n]; -1 stands for null in `records`, `offsets` and
    `lengths`. `files` counts the files of a split from 0. `raws` is empty or has n shapes. Units: bytes of
    the original file.
    """

    code: str
    message: str
    files: Ints
    records: Ints
    offsets: Ints
    lengths: Ints
    group: str | None = None
    element: str | None = None
    element_id: str | None = None
    raws: tuple[str, ...] = ()
    retryable: bool | None = None  # None: as its kind

    @property
    def can_retry(self) -> bool:
        """Whether waiting can help."""
        return KINDS[self.code].retryable if self.retryable is None else self.retryable


@dataclass(slots=True)
class FaultLog:
    """Collect faults; give them out as batches of the errors table; keep counts by file and by code."""

    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    pending: int = 0
    _parts: list[Faults] = field(default_factory=list)

    def add(self, faults: Faults) -> None:
        """Take up faults; an empty set costs nothing."""
        if not len(faults.files):
            return
        self._parts.append(faults)
        self.pending += len(faults.files)
        for file, count in zip(*np.unique(faults.files, return_counts=True), strict=True):
            self.counts[int(file), faults.code] += int(count)

    def note(
        self,
        code: str,
        message: str,
        file: int,
        *,
        record: int = -1,
        offset: int = -1,
        length: int = -1,
        group: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        """Take up a single fault."""
        files, records, offsets, lengths = np.array([[file], [record], [offset], [length]], np.int64)
        self.add(Faults(code, message, files, records, offsets, lengths, group, retryable=retryable))

    def take(self, file_ids: pa.Array, file_paths: pa.Array) -> pa.RecordBatch | None:
        """Give out and forget what was collected, with each file's id and path; None if there is nothing."""
        parts, self._parts, self.pending = self._parts, [], 0
        if not parts:
            return None
        sizes = [len(part.files) for part in parts]
        files = np.concatenate([part.files for part in parts])
        kinds = [KINDS[part.code] for part in parts]
        columns = [
            file_ids.take(pa.array(files)),
            file_paths.take(pa.array(files)),
            _spread([kind.severity for kind in kinds], sizes),
            _spread([kind.category for kind in kinds], sizes),
            _spread([part.code for part in parts], sizes),
            _spread([part.message for part in parts], sizes),
            _spread([part.group for part in parts], sizes),
            _spread([part.element for part in parts], sizes),
            _spread([part.element_id for part in parts], sizes),
            nullable(np.concatenate([part.records for part in parts])),
            nullable(np.concatenate([part.offsets for part in parts])),
            nullable(np.concatenate([part.lengths for part in parts])),
            pa.array([raw for part in parts for raw in part.raws or (None,) * len(part.files)], pa.string()),
            _spread([part.can_retry for part in parts], sizes, pa.bool_()),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=ERRORS_SCHEMA)


def nullable(numbers: Ints) -> pa.Array:
    """Make an int64 column in which -1 is null."""
    return pa.array(numbers, mask=numbers < 0)


def _spread(
    values: list[str | None] | list[str] | list[bool], sizes: list[int], kind: pa.DataType = _STRING
) -> pa.Array:
    at = np.repeat(np.arange(len(values)), sizes)
    return pa.array(values, kind).take(pa.array(at))
