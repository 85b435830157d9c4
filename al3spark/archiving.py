"""Move source files away that are dealt with: ingested ones here, failed ones there.

In: files whose rows are published, with the target that is on record for each (`files.archived_to`). Out:
what was moved, and what could not be. Promises: a file is moved only if it is the version that was read; a
run that dies in between leaves files that the next one finds and moves to the same targets. Raises nothing
for a file that cannot be moved.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from al3spark.errors import StoreError
from al3spark.spark.splits import InputFile
from al3spark.store.documents import to_json
from al3spark.store.places import Place

FAULTS = ".faults.json"
_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Move:
    """A file that goes to `target`, a URI below one of the archives; `fault`: why it failed, if it did."""

    file: InputFile
    target: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """How many files were moved, and which could not be: path and reason."""

    files: int = 0
    left: tuple[tuple[str, str], ...] = ()

    def plus(self, other: "Moved") -> "Moved":
        """Both together."""
        return Moved(self.files + other.files, self.left + other.left)


@dataclass(frozen=True, slots=True)
class Archiver:
    """Where the files of a job go; None: they stay. `<archive>/<job_id>/<name>`, so that no two collide.

    `moved`: by path, where files are already.
    """

    source: Place
    succeeded: Place | None
    failed: Place | None
    job_id: str
    moved: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_on(self) -> bool:
        """Whether any file is moved."""
        return bool(self.succeeded or self.failed)

    def target(self, file: InputFile, failed: bool) -> str | None:
        """Where a file is to go; None: it stays, as a member of an archive does."""
        place = self.failed if failed else self.succeeded
        if place is None or file.path != self.source.uri(file.name):
            return None
        return place.uri(f"{self.job_id}/{file.name}")

    def move(self, moves: Iterable[Move]) -> Moved:
        """Move files, several at a time."""
        with ThreadPoolExecutor(_WORKERS) as pool:
            reasons = list(pool.map(self._move, moves := list(moves)))
        left = [(move.file.path, reason) for move, reason in zip(moves, reasons, strict=True) if reason]
        return Moved(len(reasons) - len(left), tuple(left))

    def _move(self, move: Move) -> str:
        """Why a file could not be moved; "" if it was."""
        for place in (self.succeeded, self.failed):
            root = place.uri("").rstrip("/") + "/" if place else ""
            if place and move.target.startswith(root):
                return self._move_to(place, move.target.removeprefix(root), move)
        return f"{move.target} is not below the archive"

    def _move_to(self, place: Place, name: str, move: Move) -> str:
        try:
            if move.fault:
                code, _, message = move.fault.partition(": ")
                told = {"job_id": self.job_id, "file": move.file.path, "code": code, "message": message}
                place.write_document(f"{name}{FAULTS}", to_json(told))
            place.adopt(name, self.source, move.file.name, move.file.version)
        except StoreError as error:
            return str(error)
        return ""
