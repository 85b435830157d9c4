"""scripts/bench start: the whole command on ten small files, against the same Spark job with nothing in it.

Both are processes of their own, from start to exit, in alternation. Beside them: commands without Spark.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench_format import print_line

from al3spark.sampling import sample_bytes

HELP = "the whole command on ten small files, against an empty Spark job"

FILES = 10
FILE_BYTES = 50_000
EMPTY = Path(__file__).with_name("bench_start_empty.py")
AL3SPARK = ("-m", "al3spark.cli")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what can be chosen."""
    parser.add_argument("--runs", type=int, default=5, help="runs of each command (%(default)s)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare, print, and give the figures."""
    seconds = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="al3spark-bench-") as folder:
        source = make_files(Path(folder, "in"))
        for number in range(arguments.runs):
            commands = make_commands(source, Path(folder, f"out{number}"))
            for name, command in commands.items():
                seconds[name].append(wall_seconds(command))
    ratios = [ours / empty for ours, empty in zip(seconds["ingest"], seconds["empty job"], strict=True)]
    print_line(f"{FILES} files of {FILE_BYTES // 1000} kB\n\n{'':16}{'median':>8}{'min':>8}{'max':>8}")
    for name, values in (*seconds.items(), ("ingest / empty", ratios)):
        print_line(f"{name:16}{statistics.median(values):8.2f}{min(values):8.2f}{max(values):8.2f}")
    return {"files": FILES, "seconds": seconds, "ratio": ratios}


def make_files(folder: Path) -> Path:
    """Make small files that all differ in size: no two of them can be equal."""
    folder.mkdir()
    for number in range(FILES):
        data = sample_bytes(FILE_BYTES, seed=number)
        (folder / f"{number}.al3").write_bytes(data + b" " * number)
    return folder


def make_commands(source: Path, destination: Path) -> dict[str, tuple[str, ...]]:
    """Give the arguments of Python for each measured command."""
    return {
        "empty job": (str(EMPTY),),
        "ingest": (*AL3SPARK, "ingest", str(source), str(destination), "--min-age-s", "0"),
        "inspect": (*AL3SPARK, "inspect", str(source / "0.al3")),
        "--help": (*AL3SPARK, "--help"),
    }


def wall_seconds(command: tuple[str, ...]) -> float:
    """Measure one process from its start to its exit."""
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if ended.returncode:
        sys.exit(f"bench: {' '.join(command)} failed\n{ended.stderr}")
    return took
