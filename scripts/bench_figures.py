"""Figures of scripts/bench as lines of text, and the folder that a command works in.

In: values of several runs. Out: lines on standard output, each at once. Promises: what is made in a
`work_folder` is gone afterwards, also after an interrupt.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

MIB = 1 << 20


def print_line(line: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def print_rates(title: str, rates: Mapping[str, Sequence[float]]) -> None:
    """Print median, least and most of each; ratios with two decimals."""
    width = max(20, *map(len, rates), len(title)) + 2
    print_line(f"\n{title:{width}}{'median':>8}{'min':>8}{'max':>8}")
    for name, values in rates.items():
        digits = 2 if "ratio" in name else 1
        shown = (statistics.median(values), min(values), max(values))
        print_line(f"{name:{width}}" + "".join(f"{value:8.{digits}f}" for value in shown))


def print_stages(title: str, stages: Mapping[str, float]) -> None:
    """Print seconds and share of each stage."""
    total = sum(stages.values())
    width = max(26, *map(len, stages), len(title)) + 2
    print_line(f"\n{title:{width}}{total:9.3f} s")
    for name, seconds in stages.items():
        print_line(f"{name:{width}}{seconds:9.3f} s{seconds / total:8.1%}")


def divide(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Ratios, run by run."""
    return [above / below for above, below in zip(numerators, denominators, strict=True)]


def count_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def add_folder_argument(parser: argparse.ArgumentParser) -> None:
    """Let a place for everything that is written be chosen."""
    parser.add_argument("--dir", type=Path, metavar="DIR", help="where to write, until the end (TMPDIR)")


@contextmanager
def work_folder(chosen: Path | None) -> Iterator[Path]:
    """A folder that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="al3spark-bench-", dir=chosen) as folder:
        yield Path(folder)
