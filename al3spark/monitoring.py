"""How a running job is doing, for operators: `status.json`, kept fresh by a thread, and cancelling it.

In: what the batch tells. Out: a document at the destination that is never half written and never older than a
few seconds while the process lives; its `beat` tells a stalled job from a dead one. The thread also looks for
a cancel document and for another owner of the lock, and then calls `stop`. Raises: CancelledError, from
`check`, in the batch's own thread.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from al3spark.errors import CancelledError, StoreError
from al3spark.pace import Pace
from al3spark.store.documents import job_folder, list_jobs, read_status, to_json, write_status
from al3spark.store.places import Place

REFRESH_S = 1.0
MOST_ERRORS = 10
MOST_DEAD = 20
BROKEN_OFF = ("failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a job is. Units: bytes of files as stored; `part` is what of the open chunk is parsed, 0 to 1.

    `completed` and `failed` files move by chunk, `part` by task.
    """

    total_files: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = 0
    total_bytes: int = 0
    published_bytes: int = 0
    chunk_bytes: int = 0
    part: float = 0.0
    chunk: int = 0
    chunks: int = 0

    @property
    def remaining(self) -> int:
        """Files that are not decided yet."""
        return self.total_files - self.completed - self.failed - self.skipped

    @property
    def bytes(self) -> int:
        """Bytes dealt with so far."""
        return self.published_bytes + int(self.part * self.chunk_bytes)

    @property
    def percent(self) -> float:
        """Part of the bytes that is done, 0 to 100."""
        return round(100 * self.bytes / self.total_bytes, 1) if self.total_bytes else 100.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """One of the first errors of a job: file, code, what it says, and where in the file."""

    file: str
    error: str
    code: str
    offset: int | None = None


@dataclass(slots=True)
class StatusBoard:
    """Keep the status of one job; a context manager that runs the thread.

    `stop` is called from the thread when the job shall end, again and again, for what is still being planned
    cannot be stopped: it has to make the batch's thread come back soon.
    """

    place: Place
    job_id: str
    stop: Callable[[], None]
    lost: Callable[[], bool] = lambda: False
    status: str = "queued"
    counts: Counts = Counts()
    errors: tuple[Trouble, ...] = ()
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    completed: datetime | None = None
    checkpoint: dict[str, Any] | None = None
    reason: str | None = None
    pace: Pace = field(default_factory=Pace)
    _beat: int = 0
    _cancelled: str = ""
    _over: threading.Event = field(default_factory=threading.Event)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def begin(self, counts: Counts) -> None:
        """Say what the job is about to do."""
        with self._writing:
            self.status, self.started, self.counts = "processing", datetime.now(UTC), counts
            self.pace.begin()
        self.write()

    def parsed(self, part: float) -> None:
        """Say which part of the open chunk is parsed; cheap."""
        self.counts = replace(self.counts, part=part)

    def published(self, counts: Counts, errors: Sequence[Trouble]) -> None:
        """Say that a chunk is published: the checkpoint."""
        self.counts = counts
        self.errors = (*self.errors, *errors)[:MOST_ERRORS]
        self.checkpoint = {"chunk": counts.chunk, "at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        self.write()

    def end(self, status: str, reason: str | None = None) -> None:
        """Say how the job ended, and why if it broke off; the last word."""
        self.status, self.completed = status, datetime.now(UTC)
        self.reason = (status in BROKEN_OFF and self._cancelled) or reason
        self._over.set()
        self.write()

    def cancel(self, why: str) -> None:
        """Ask the job to end; from any thread."""
        self._cancelled = self._cancelled or why

    def check(self) -> None:
        """Raise CancelledError if the job shall end."""
        if self._cancelled:
            raise CancelledError(self._cancelled)

    @property
    def is_cancelled(self) -> bool:
        """Whether the job shall end."""
        return bool(self._cancelled)

    def write(self) -> None:
        """Write the document now. StoreError: it cannot be written."""
        with self._writing:
            self._beat += 1
            write_status(self.place, self.job_id, self.document())

    def document(self) -> dict[str, Any]:
        """Give the status as a mapping for JSON; status.schema.json says what it holds."""
        counts = self.counts
        self.pace.note(counts.completed + counts.failed, counts.bytes)
        files_rate, bytes_rate = self.pace.rates()
        left = counts.total_bytes - counts.bytes
        now = datetime.now(UTC)
        due = now + timedelta(seconds=left / bytes_rate) if bytes_rate and self.completed is None else None
        return {
            "job_id": self.job_id,
            "status": self.status,
            "reason": self.reason,
            "created_at": _stamp(self.created),
            "started_at": _stamp(self.started),
            "completed_at": _stamp(self.completed),
            "heartbeat_at": _stamp(now),
            "beat": self._beat,
            "progress": {
                "total_files": counts.total_files,
                "completed": counts.completed,
                "failed": counts.failed,
                "skipped": counts.skipped,
                "remaining": counts.remaining,
                "total_bytes": counts.total_bytes,
                "bytes": counts.bytes,
                "percent": counts.percent if self.started else 0.0,
                "chunk": counts.chunk,
                "chunks": counts.chunks,
            },
            "files_per_second": round(files_rate, 3),
            "mb_per_second": round(bytes_rate / 1e6, 3),
            "estimated_completion": _stamp(due),
            "last_checkpoint": self.checkpoint,
            "errors": [asdict(error) for error in self.errors],
            "bytes_over_time": [list(point) for point in self.pace.points],
        }

    def __enter__(self) -> "StatusBoard":
        self.write()
        self._thread = threading.Thread(target=self._watch, name="al3spark-status", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(REFRESH_S):
            with suppress(StoreError):  # a later beat may work; if none does, the document grows stale
                if self.place.read(cancel_name(self.job_id)) is not None:
                    self.cancel("cancelled on request")
                elif self.lost():
                    self.cancel("taken over by another job")
                if not self._over.is_set():
                    self.write()
            if self._cancelled:
                self.stop()


def cancel_name(job_id: str) -> str:
    """The document that asks a job to end."""
    return f"{job_folder(job_id)}/cancel.json"


def request_cancel(place: Place, job_id: str) -> None:
    """Ask a job, wherever it runs, to end; it looks about every second."""
    place.write_document(cancel_name(job_id), to_json({"at": _stamp(datetime.now(UTC))}))


def mark_dead(place: Place, job_id: str) -> None:
    """Put the truth into the status of jobs that died without a last word; `job_id` holds the lock.

    Only the newest are looked at: whoever holds the lock does this first.
    """
    for each in list_jobs(place)[-MOST_DEAD:]:
        status = read_status(place, each) if each != job_id else None
        if status and "progress" in status and status.get("completed_at") is None:
            ended = {
                "status": "failed",
                "reason": "its process ended without a last word",
                "completed_at": _stamp(datetime.now(UTC)),
                "estimated_completion": None,
            }
            write_status(place, each, {**status, **ended})


def _stamp(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None
