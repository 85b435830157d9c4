"""The `files` table as a ledger: which input was dealt with, and how it ended. (First version, by the lead: improve it
in place; callers use load_ledger, no_ledger, FILES_SCHEMA, FILES_TABLE and the three methods of Ledger.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from al3spark.store.places import Place

FILES_TABLE = "files"
FILES_SCHEMA = pa.schema(
    [
        pa.field("job_id", pa.string(), nullable=False),
        pa.field("file_path", pa.string(), nullable=False),
        ("file_id", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        ("reason", pa.string()),
        ("duplicate_of", pa.string()),
        ("replaces", pa.string()),
        ("archived_to", pa.string()),
        ("size", pa.int64()),
        ("version", pa.string()),
        ("expanded_size", pa.int64()),
        ("record_bytes", pa.int64()),
        ("separator_bytes", pa.int64()),
        ("unreadable_bytes", pa.int64()),
        ("messages", pa.int64()),
        ("transactions", pa.int64()),
        ("records", pa.int64()),
        ("faults", pa.int64()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("finished_at", pa.timestamp("us", tz="UTC")),
        ("attempts", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of files that were dealt with."""

    statuses: dict[tuple[str, int, str], str] = field(default_factory=dict)
    sizes: frozenset[int] = frozenset()
    paths: dict[str, str] = field(default_factory=dict)

    def known(
        self, paths: Sequence[str], sizes: npt.NDArray[np.int64], versions: Sequence[str]
    ) -> list[str | None]:
        """The last status of each path, size and version; None if there is none."""
        return [self.statuses.get(key) for key in zip(paths, sizes.tolist(), versions, strict=True)]

    def sizes_known(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether a file of each size was ingested: only then can it be the same content."""
        return np.array([size in self.sizes for size in sizes.tolist()], bool)

    def path_of(self, file_id: str) -> str | None:
        """The path under which a content was ingested, None if it was not."""
        return self.paths.get(file_id)


def no_ledger() -> Ledger:
    """A ledger that knows nothing."""
    return Ledger()


def load_ledger(place: Place) -> Ledger:
    """Read the ledger of a destination."""
    statuses: dict[tuple[str, int, str], str] = {}
    sizes: set[int] = set()
    paths: dict[str, str] = {}
    for name in place.list_names(f"{FILES_TABLE}/"):
        if not name.endswith(".parquet"):
            continue
        with place.open_stream(name) as stream:
            rows = pq.read_table(
                stream, columns=["file_path", "size", "version", "file_id", "status"]
            ).to_pylist()
        for row in rows:
            statuses[row["file_path"], row["size"], row["version"]] = row["status"]
            if row["status"].startswith("succeeded"):
                sizes.add(row["size"])
                paths[row["file_id"]] = row["file_path"]
    return Ledger(statuses, frozenset(sizes), paths)
