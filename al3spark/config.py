"""What a run was asked: source, destination and options as one frozen value, checked before Spark starts.

In: words of a command line. Out: a `BatchRequest`. Raises: RequestError, with all problems at once.
"""

from dataclasses import dataclass
from datetime import date

from al3spark.errors import RequestError

REPROCESS_FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is done. Sizes in MiB; `ingest_date` None: the day (UTC) on which the run starts.

    `century_pivot`: two-digit years above it are 19yy. `chunk_mib` None: the larger of 4 GiB and four splits
    a core.
    """

    pattern: str = "*"
    dictionaries: tuple[str, ...] = ()
    century_pivot: int = 50
    split_mib: int = 32
    chunk_mib: int | None = None
    window_kib: int = 4096
    ingest_date: date | None = None
    reprocess: str | None = None
    master: str | None = None

    def __post_init__(self) -> None:
        checks = (
            (bool(self.pattern), "pattern is empty; * takes every file"),
            (0 <= self.century_pivot <= 99, f"century_pivot is {self.century_pivot}; valid: 0 to 99"),
            (1 <= self.split_mib <= 128, f"split_mib is {self.split_mib}; valid: 1 to 128"),
            (
                self.chunk_mib is None or self.chunk_mib >= 1,
                f"chunk_mib is {self.chunk_mib}; valid: 1 and up",
            ),
            (4 <= self.window_kib <= 65536, f"window_kib is {self.window_kib}; valid: 4 to 65536"),
            (
                self.reprocess in (None, REPROCESS_FAILED),
                f"reprocess is {self.reprocess!r}; valid: {REPROCESS_FAILED}",
            ),
        )
        if problems := [text for fine, text in checks if not fine]:
            raise RequestError("; ".join(problems))


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Read AL3 files from `source`, write tables to `destination`; both are paths or URIs."""

    source: str
    destination: str
    options: Options = Options()
