"""scripts/bench peers: the job against the one that a good engineer writes in a day with what Spark brings.

Both run in the same session, which is up, on the same files, in alternation, and must give equal tables:
the same rows and equal cells, `errors`, `files` and `job_id` aside; so personal data is kept by both. The
goal is that the job is at least 6 times as fast.
"""

import argparse
import os
import shutil
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import bench_baseline
import bench_naive
from bench_batches import run_job, warm_session
from bench_comparing import Tables, find_differences, read_tables
from bench_corpus import describe, write_corpus
from bench_figures import MIB, add_folder_argument, divide, print_line, print_rates, work_folder
from bench_naive import run_naive
from bench_processes import watch_processes
from pyspark.sql import SparkSession

from al3spark.al3.privacy import DEFAULT_RULES

HELP = "the job, against a plain PySpark job with equal output"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what can be chosen."""
    parser.add_argument("--mib", type=int, default=64, help="size of the input (%(default)s)")
    parser.add_argument("--file-kib", type=int, default=2048, help="size of a file (%(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each (%(default)s)")
    add_folder_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare, print, and give the figures."""
    rates: defaultdict[str, list[float]] = defaultdict(list)
    cpu: defaultdict[str, list[float]] = defaultdict(list)
    with work_folder(arguments.dir) as folder:
        corpus = describe(write_corpus(folder / "in", arguments.mib * MIB, arguments.file_kib << 10))
        with warm_session(folder) as spark:
            send_modules(spark)
            run_naive(spark, folder / "warm", folder / "naive-warm")
            for number in range(arguments.runs):
                with watch_processes() as job:
                    rates["job"].append(run_keeping_all(spark, folder))
                with watch_processes() as naive:
                    seconds = time_naive(spark, folder)
                rates["plain PySpark"].append(corpus["bytes"] / 1e6 / seconds)
                cpu["CPU s, job"].append(sum(job.cpu_s.values()))
                cpu["CPU s, plain PySpark"].append(sum(naive.cpu_s.values()))
                if not number:
                    rows = check_equal(read_tables(folder / "naive"), read_tables(folder / "job"))
                    print_line(f"{corpus['bytes'] / 1e6:.1f} MB, {rows} records: both give equal tables")
                shutil.rmtree(folder / "job")
                shutil.rmtree(folder / "naive")
    rates["ratio job/plain PySpark"] = divide(rates["job"], rates["plain PySpark"])
    print_rates("MB/s", rates)
    print_rates("CPU seconds", cpu)
    return {**corpus, "records": rows, "mb_per_s": rates, "cpu_s": cpu}


def send_modules(spark: SparkSession) -> None:
    """Let the Python workers import what lies beside this file."""
    for module in (bench_baseline, bench_naive):
        spark.sparkContext.addPyFile(os.fspath(module.__file__))


def run_keeping_all(spark: SparkSession, folder: Path) -> float:
    """MB/s of one run that masks nothing."""
    keep = tuple(f"{tag}=keep" for tag in DEFAULT_RULES)
    return run_job(spark, folder / "in", folder / "job", pii=keep).mb_per_s


def time_naive(spark: SparkSession, folder: Path) -> float:
    """Seconds of one run."""
    began = time.perf_counter()
    run_naive(spark, folder / "in", folder / "naive")
    return time.perf_counter() - began


def check_equal(expected: Tables, got: Tables) -> int:
    """End the program unless the tables are equal; count their rows."""
    if differences := find_differences(expected, got):
        sys.exit(f"bench: plain PySpark and al3spark differ in {', '.join(differences[:20])}")
    return sum(table.num_rows for table in expected.values())
