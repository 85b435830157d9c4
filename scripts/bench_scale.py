"""scripts/bench scale: once, four times and sixteen times the input in one session that is up.

Time is to grow as the input does: time(16x) / (16 * time(1x)) of at most 1.05. The three read the same files:
the first sixteenth of them, the first quarter, all.
"""

import argparse
import os
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_batches import run_job, warm_session
from bench_corpus import describe, write_corpus
from bench_figures import MIB, add_folder_argument, print_line, work_folder
from bench_processes import watch_processes

HELP = "once, four times and sixteen times the input"

FACTORS = (1, 4, 16)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what can be chosen."""
    parser.add_argument("--mib", type=int, default=400, help="size of the smallest input (%(default)s)")
    parser.add_argument("--file-kib", type=int, default=2048, help="size of a file (%(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each size (%(default)s)")
    add_folder_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, print, and give the figures."""
    seconds: dict[int, list[float]] = {factor: [] for factor in FACTORS}
    cpu: dict[int, list[float]] = {factor: [] for factor in FACTORS}
    with work_folder(arguments.dir) as folder:
        size = arguments.mib * MIB
        paths = write_corpus(folder / "in", max(FACTORS) * size, arguments.file_kib << 10)
        corpora = {factor: link_first(folder / f"in-{factor}", paths, factor * size) for factor in FACTORS}
        with warm_session(folder) as spark:
            for _ in range(arguments.runs):
                for factor in FACTORS:
                    with watch_processes() as cost:
                        done = run_job(spark, folder / f"in-{factor}", folder / "job")
                    shutil.rmtree(folder / "job")
                    seconds[factor].append(done.seconds)
                    cpu[factor].append(sum(cost.cpu_s.values()))
    return report(corpora, seconds, cpu)


def link_first(folder: Path, paths: Sequence[Path], size: int) -> dict[str, Any]:
    """Make a folder of the first files, up to so many bytes; they take no room."""
    folder.mkdir()
    done = 0
    for path in paths:
        if done < size:
            os.link(path, folder / path.name)
            done += path.stat().st_size
    return describe(tuple(folder.iterdir()))


def report(
    corpora: dict[int, dict[str, Any]], seconds: dict[int, list[float]], cpu: dict[int, list[float]]
) -> dict[str, Any]:
    """Print a line for each size, and how the largest compares with the smallest for its bytes."""
    least, most = min(FACTORS), max(FACTORS)
    print_line(
        f"{'input':>6}{'MB':>9}{'files':>7}{'s, median':>11}{'min':>8}{'max':>8}{'MB/s':>8}{'CPU s':>8}"
    )
    for factor, corpus in corpora.items():
        times, megabytes = seconds[factor], corpus["bytes"] / 1e6
        middle = statistics.median(times)
        print_line(
            f"{factor:>5}x{megabytes:9.1f}{corpus['files']:7}{middle:11.2f}{min(times):8.2f}{max(times):8.2f}"
            f"{megabytes / middle:8.1f}{statistics.median(cpu[factor]):8.1f}"
        )
    share = corpora[most]["bytes"] / corpora[least]["bytes"]
    growth = [late / (share * first) for late, first in zip(seconds[most], seconds[least], strict=True)]
    print_line(f"time({most}x) / ({most} * time({least}x)): {statistics.median(growth):.2f}")
    inputs = {
        f"{factor}x": {**corpora[factor], "s": seconds[factor], "cpu_s": cpu[factor]} for factor in FACTORS
    }
    return {"inputs": inputs, "growth": growth}
