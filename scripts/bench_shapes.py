"""scripts/bench shapes: inputs of shapes that break jobs like this one.

One group with 90 percent of the bytes, 150 groups with a few rows each, files of 2 KB, one transaction of
200 MB, one file of 2 GB against the same bytes in 400 files. Each runs in a session of its own that is up.
Goals: no task of the parse takes more than twice the median one, no Python worker more than 512 MiB, no more
files for a table than its bytes justify, and one large file at most 1.25 times as long as many.
"""

import argparse
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from bench_batches import BatchRun, run_job, warm_session
from bench_figures import MIB, add_folder_argument, print_line, work_folder
from bench_inputs import (
    write_large,
    write_many_groups,
    write_one_group,
    write_one_transaction,
    write_small_files,
)
from bench_processes import Cost, watch_processes

HELP = "one large group, many groups, small files, one large transaction, one large file"

FILE_BYTES = 64 * MIB  # of a table, before compression, that justify a file
_FILES_OF_MANY_GROUPS = 200
_COLUMNS = (
    ("MB", 9),
    ("files", 8),
    ("s", 8),
    ("MB/s", 7),
    ("tasks", 6),
    ("longest/median", 15),
    ("tables", 7),
    ("written", 8),
    ("justified", 10),
    ("worker MiB", 11),
    ("driver MiB", 11),
    ("JVM MiB", 8),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what can be chosen."""
    parser.add_argument("--mib", type=int, default=400, help="size of the input of one group (%(default)s)")
    parser.add_argument("--small-files", type=int, default=100_000, help="files of 2 KB (%(default)s)")
    parser.add_argument("--transaction-mib", type=int, default=200, help="one transaction (%(default)s)")
    parser.add_argument("--large-mib", type=int, default=2048, help="one large file (%(default)s)")
    parser.add_argument("--large-files", type=int, default=400, help="the same bytes in files (%(default)s)")
    parser.add_argument("--only", choices=SHAPES, action="append", help="one of the shapes; repeatable")
    parser.add_argument("--over-time", action="store_true", help="show the memory of each process, too")
    add_folder_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, print, and give the figures."""
    figures: dict[str, dict[str, float]] = {}
    memory: dict[str, list[tuple[float, dict[str, int]]]] = {}
    print_line(f"{'':18}" + "".join(f"{name:>{width}}" for name, width in _COLUMNS))
    for shape, make in SHAPES.items():
        if shape in (arguments.only or SHAPES):
            with work_folder(arguments.dir) as folder:
                for made in make(folder, arguments):
                    figures[made.name], cost = measure(folder, made)
                    memory[made.name] = cost.over_time
                    cells = zip(figures[made.name].values(), _COLUMNS, strict=True)
                    line = "".join(f"{_show(value):>{width}}" for value, (_, width) in cells)
                    print_line(f"{made.name:18}{line}")
                    if arguments.over_time:
                        show_memory(cost)
    if {"one file", "as many files"} <= figures.keys():
        ratio = figures["one file"]["s"] / figures["as many files"]["s"]
        print_line(f"time(one file) / time(as many files): {ratio:.2f}")
        figures["one file"]["time against many files"] = ratio
    return {"shapes": figures, "memory_mib": memory}


@dataclass(frozen=True, slots=True)
class Made:
    """An input that is there; `options` of the request."""

    name: str
    source: Path
    options: dict[str, Any]


def measure(folder: Path, made: Made) -> tuple[dict[str, float], Cost]:
    """Run a batch on an input in a session of its own: figures in the order of the columns, and its cost."""
    os.sync()
    destination, warm = folder / "tables", folder / f"{made.source.name}-warm"
    warm.mkdir()
    with warm_session(warm) as spark, watch_processes() as cost:
        done = run_job(spark, made.source, destination, **made.options)
    written, justified = count_files(destination, len(done.manifest["checkpoints"]))
    shutil.rmtree(destination)
    figures = _figures(done, cost, written, justified)
    return dict(zip([name for name, _ in _COLUMNS], figures, strict=True)), cost


def show_memory(cost: Cost) -> None:
    """Print MiB of each process at ten moments; those that live for less than that are left out."""
    moments = cost.memory_at(10)
    print_line("".join([f"{'s':>16}", *(f"{second:>7.0f}" for second, _ in moments)]))
    for process in sorted({process for _, resident in moments for process in resident}):
        cells = (f"{resident.get(process, '-'):>7}" for _, resident in moments)
        print_line("".join([f"{process:>16}", *cells]))


def _figures(done: BatchRun, cost: Cost, written: int, justified: int) -> tuple[float, ...]:
    parses = [stage for stage in done.stages if stage.is_parse]
    summary = done.manifest["summary"]
    return (
        summary["bytes"] / 1e6,
        summary["processed"],
        done.seconds,
        done.mb_per_s,
        sum(len(stage.tasks_s) for stage in parses),
        max(stage.straggling for stage in parses),
        len(done.manifest["tables"]),
        written,
        justified,
        *(cost.peak_mib(role) for role in ("worker", "driver", "jvm")),
    )


def count_files(destination: Path, chunks: int) -> tuple[int, int]:
    """Parquet files that were written, and those that the bytes of their tables justify.

    One for each 64 MiB before compression, rounded up, and one more for each chunk and table that has more
    than one: where a table begins in the shuffle another one ends.
    """
    written = justified = 0
    for table in destination.iterdir():
        files = [] if table.name.startswith("_") else list(table.rglob("*.parquet"))
        if files:
            metadata = [pq.read_metadata(file) for file in files]
            size = sum(
                each.row_group(group).total_byte_size
                for each in metadata
                for group in range(each.num_row_groups)
            )
            parts = math.ceil(size / FILE_BYTES)
            written += len(files)
            justified += max(parts, chunks) + (chunks if parts > 1 else 0)
    return written, justified


def _one_group(folder: Path, arguments: argparse.Namespace) -> tuple[Made, ...]:
    write_one_group(folder / "in", arguments.mib * MIB, 2 * MIB)
    return (Made("one group", folder / "in", {}),)


def _many_groups(folder: Path, arguments: argparse.Namespace) -> tuple[Made, ...]:
    dictionary = write_many_groups(folder / "in", _FILES_OF_MANY_GROUPS)
    return (Made("150 groups", folder / "in", {"dictionaries": (str(dictionary),)}),)


def _small_files(folder: Path, arguments: argparse.Namespace) -> tuple[Made, ...]:
    write_small_files(folder / "in", arguments.small_files)
    return (Made("files of 2 KB", folder / "in", {}),)


def _one_transaction(folder: Path, arguments: argparse.Namespace) -> tuple[Made, ...]:
    write_one_transaction(folder / "in", arguments.transaction_mib * MIB)
    return (Made("one transaction", folder / "in", {}),)


def _large_file(folder: Path, arguments: argparse.Namespace) -> tuple[Made, ...]:
    write_large(folder / "many", folder / "one", arguments.large_mib * MIB, arguments.large_files)
    return Made("as many files", folder / "many", {}), Made("one file", folder / "one", {})


Make = Callable[[Path, argparse.Namespace], tuple[Made, ...]]
SHAPES: dict[str, Make] = {
    "one-group": _one_group,
    "many-groups": _many_groups,
    "small-files": _small_files,
    "one-transaction": _one_transaction,
    "large-file": _large_file,
}


def _show(value: float) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
