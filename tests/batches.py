"""What the tests of the job share: files to write, batches to run, tables to read back.

Every person and every policy is invented.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from al3spark.al3.building import Separator, build_file
from al3spark.batch import run_batch
from al3spark.config import BatchRequest, Destination, Options, Source
from al3spark.preparing import Prepared, prepare
from al3spark.reporting import Progress
from al3spark.spark.session import open_session
from al3spark.store.places import Place
from tests.al3.samples import DICTIONARY, message

ROOT = Path(__file__).parent.parent
UNKNOWN = "5ZZZ"  # the group of the samples that the dictionary does not describe
OF_THE_RUN = ("job_id", "started_at", "finished_at", "attempts")

# What a Python process that parses imports before all else: files of some names end it.
FATAL_HOOK = """
import os, signal, sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec


class Hook(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "al3spark.al3.parsing":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            parse = module.SplitParser.parse

            def parse_or_die(self, path, *given):
                yield from parse(self, path, *given)
                if path.endswith("exits.al3"):
                    os._exit(77)
                if path.endswith("crashes.al3"):
                    os.kill(os.getpid(), signal.SIGSEGV)
                if path.endswith("swallows.al3"):
                    bytearray(5 << 30)

            module.SplitParser.parse = parse_or_die

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Hook())
"""

Tables = dict[str, list[tuple[object, ...]]]


def al3(*policies: int, separator: Separator = Separator.NONE, vehicles: int = 1) -> bytes:
    """One message with some policies, without any fault in it."""
    records = [record for record in message(policies, vehicles=vehicles) if record.group != UNKNOWN]
    return build_file(records, DICTIONARY, separator)


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def put_fatal_hook(folder: Path) -> Path:
    """Write the hook into a folder, which is to go before all others that Python imports from."""
    return put(folder, {"sitecustomize.py": FATAL_HOOK.encode()})


def ready(source: Path, destination: Path, pattern: str = "*", **options: Any) -> Prepared:
    """A checked request; files may have been written a moment ago."""
    asked = Options(**{"min_age_s": 0, **options})
    return prepare(BatchRequest(Source(str(source), pattern), Destination(str(destination)), asked))


def run(prepared: Prepared, report: Callable[[Progress], None] = lambda _: None) -> dict[str, Any]:
    """Run a batch in the session of the tests, with the settings of the job; give the manifest."""
    with open_session() as spark:
        return run_batch(prepared, spark, report)


def ingest(source: Path, destination: Path, **options: Any) -> dict[str, Any]:
    """Run a whole batch; give the manifest."""
    return run(ready(source, destination, **options))


def al3spark(*arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process and a session of its own."""
    command = [sys.executable, "-m", "al3spark.cli", *map(str, arguments)]
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False, **how
    )


def parquet_files(destination: Path, table: str) -> list[Path]:
    """The published files of a table, by name."""
    return sorted((destination / table).glob("ingest_date=*/**/*.parquet"))


def read_table(destination: Path, table: str) -> pa.Table | None:
    """All rows of a table, file by file; None if there is no such table."""
    parts = [pq.ParquetFile(path).read() for path in parquet_files(destination, table)]
    return pa.concat_tables(parts) if parts else None


def read_rows(destination: Path, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Some columns of a table, row by row; none if there is no such table."""
    found = read_table(destination, table)
    return list(zip(*(found[column].to_pylist() for column in columns), strict=True)) if found else []


def read_tables(destination: Path) -> Tables:
    """All rows of all tables, sorted, without what differs from run to run: equal if equal as sets."""
    names = sorted(path.name for path in destination.iterdir() if not path.name.startswith("_"))
    return {name: comparable(read_table(destination, name)) for name in names}


def comparable(table: pa.Table) -> list[tuple[object, ...]]:
    """The rows of a table, sorted, without what differs from run to run."""
    kept = table.drop_columns([name for name in OF_THE_RUN if name in table.column_names])
    return sorted(zip(*(column.to_pylist() for column in kept.columns), strict=True), key=repr)


def statuses(destination: Path, source: Path, job_id: str | None = None) -> dict[str, str]:
    """How each input file ended, by its name in the source; of one job or of all, the last row counts."""
    rows = read_rows(destination, "files", "job_id", "finished_at", "file_path", "status")
    chosen = sorted((row for row in rows if job_id in (None, row[0])), key=lambda row: row[1])
    return {path.removeprefix(f"{source}/"): status for _, _, path, status in chosen}


def faults(destination: Path, source: Path) -> list[tuple[str, str]]:
    """Name and code of every row of `errors`, sorted."""
    rows = read_rows(destination, "errors", "file_path", "code")
    return sorted((path.removeprefix(f"{source}/"), code) for path, code in rows)


def staged_files(destination: Path) -> list[str]:
    """Files that were staged and neither published nor discarded."""
    return [str(path) for path in (destination / "_al3spark/staging").glob("**/*") if path.is_file()]


def published_files(destination: Path) -> list[str]:
    """Files of tables."""
    return sorted(str(path.relative_to(destination)) for path in destination.glob("*/ingest_date=*/*"))


@dataclass(frozen=True, slots=True)
class ChangingPlace:
    """A source in which somebody appends to one file while it is read for the `reading`th time.

    That is when a range that holds `offset` is asked for, or at 0 the stream. `notes`: a folder to count in,
    for all processes.
    """

    place: Place
    changing: str
    reading: int
    notes: Path
    offset: int = 0

    def read_range(self, name: str, offset: int, length: int, version: str) -> bytes:
        """As of the place."""
        self._maybe_change(name, offset, length)
        return self.place.read_range(name, offset, length, version)

    def open_stream(self, name: str, version: str | None = None) -> BinaryIO:
        """As of the place."""
        self._maybe_change(name, 0, 1)
        return self.place.open_stream(name, version)

    def _maybe_change(self, name: str, offset: int, length: int) -> None:
        if name == self.changing and offset <= self.offset < offset + max(length, 1):
            readings = len(list(self.notes.iterdir())) + 1
            (self.notes / str(readings)).touch()
            if readings == self.reading:
                append(Path(self.place.uri(name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.place, name)


def append(path: Path) -> None:
    """Change a file."""
    with path.open("ab") as file:
        file.write(b" ")
