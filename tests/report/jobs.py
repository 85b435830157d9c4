"""Jobs as a destination keeps them, made of values: for tests of the report without Spark."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from al3spark.al3.faults import ERRORS_SCHEMA, KINDS
from al3spark.al3.totals import FileTotals
from al3spark.archiving import Moved
from al3spark.config import BatchRequest, Destination, Options, Source
from al3spark.manifest import JobRecord, Stop, compose_manifest
from al3spark.monitoring import Counts, StatusBoard
from al3spark.planning import Selection, Skipped
from al3spark.spark.pipeline import StagedTable
from al3spark.spark.slowest import FileTime
from al3spark.store.documents import write_manifest
from al3spark.store.places import Place
from al3spark.store.staging import StagedFile
from tests.endings import BEGAN, ENDED, JOB, file, record

VOID = {"meta", "wbr", "br"}


def fault(path: str, code: str, **more: Any) -> dict[str, Any]:
    """A row of `errors`."""
    kind = KINDS[code]
    row = dict.fromkeys(ERRORS_SCHEMA.names)
    told = {"severity": kind.severity, "category": kind.category, "message": "it is so"}
    return {**row, "file_path": path, "code": code, "retryable": kind.retryable, **told, **more}


def leave_rows(place: Place, table: str, rows: pa.Table, part: str = "00000") -> None:
    """Put a Parquet file into a table."""
    stream = io.BytesIO()
    pq.write_table(rows, stream)
    place.write_document(
        f"{table}/ingest_date=2026-01-02/part-{JOB}-000000-{part}.parquet", stream.getvalue()
    )


def leave_faults(
    place: Place, faults: Sequence[dict[str, Any]], part: str = "00000", job_id: str = JOB
) -> None:
    """Put rows into `errors`."""
    rows = pa.Table.from_pylist(list(faults), ERRORS_SCHEMA)
    leave_rows(place, "errors", rows.add_column(0, "job_id", pa.array([job_id] * rows.num_rows)), part)


def leave_status(
    place: Place,
    status: str,
    counts: Counts | None = None,
    points: Sequence[tuple[float, int]] = (),
    reason: str | None = None,
) -> None:
    """Leave the status of a job that ended so, or runs."""
    board = StatusBoard(place, JOB, stop=lambda: None, created=BEGAN)
    board.begin(counts or Counts(total_files=2, completed=2, total_bytes=200, published_bytes=200))
    if points:
        board.pace.points = list(points[:-1])
        board.pace.clock = lambda: (board.pace._began or 0.0) + points[-1][0]
    if status == "processing":
        board.write()
    else:
        board.end(status, reason)


def leave_job(
    place: Place,
    *totals: FileTotals,
    faults: Sequence[dict[str, Any]] = (),
    skipped: Iterable[Skipped] = (),
    stop: Stop | None = None,
    moved: Moved | None = None,
    slowest: tuple[FileTime, ...] | None = (),
    rows: int = 10,
    points: Sequence[tuple[float, int]] = (),
    request: BatchRequest = BatchRequest(Source("/in"), Destination("/out"), Options()),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """Leave all that a job leaves which came to its end; give its manifest."""
    counted = tuple({each["code"]: 0 for each in faults})
    counts = tuple((code, sum(each["code"] == code for each in faults)) for code in counted)
    ended = record(*totals, fault_counts=counts, slowest=slowest)
    staged = (StagedTable("policies", StagedFile("policies/part", "token", 1000), rows),)
    files = tuple(file(each.path.removeprefix("/in/")) for each in totals)
    manifest = compose_manifest(
        JobRecord(
            JOB,
            request,
            "0123456789abcdef",
            "4.3.0",
            2,
            BEGAN,
        ),
        Selection(files, tuple(skipped)),
        [replace(ended, staged=staged)],
        ENDED,
        moved or Moved(),
        stop,
    )
    leave_rows(place, "files", ended.files)
    if faults:
        leave_faults(place, faults)
    write_manifest(place, JOB, manifest)
    leave_status(place, manifest["status"], points=points, reason=stop.reason if stop else None)
    return manifest


class Page(HTMLParser):
    """What a page holds: its elements, attributes and text. Fails where tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.parts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.parts.append(data)

    @property
    def text(self) -> str:
        """All that is to be read, with single blanks."""
        return " ".join(" ".join(self.parts).split())

    def names(self) -> set[str]:
        return {name for name, _ in self.elements}

    def attributes(self) -> set[str]:
        return {name for _, attributes in self.elements for name in attributes}
