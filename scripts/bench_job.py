"""scripts/bench job: a whole batch in a session that is up, against the same work without Spark.

Both read the same files on the same cores, in alternation, and write to a fresh destination. Rates are MB
(10^6 bytes) of input per second, from the request to the manifest. The goal is a ratio of at least 0.65, then
0.8. CPU seconds are those of all processes: they say more where other programs use the machine, too.
"""

import argparse
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench_batches import prepare_job, run_job, warm_session
from bench_corpus import describe, write_corpus
from bench_figures import (
    MIB,
    add_folder_argument,
    divide,
    print_line,
    print_rates,
    print_stages,
    work_folder,
)
from bench_processes import watch_processes
from bench_without_spark import deal_shares, open_processes, run_share, time_all

from al3spark.spark.session import count_cores

HELP = "a whole batch, against the same work without Spark"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what can be chosen."""
    parser.add_argument("--mib", type=int, default=800, help="size of the input (%(default)s)")
    parser.add_argument("--file-kib", type=int, default=2048, help="size of a file (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each (%(default)s)")
    add_folder_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare, print, and give the figures."""
    with work_folder(arguments.dir) as folder:
        corpus = describe(write_corpus(folder / "in", arguments.mib * MIB, arguments.file_kib << 10))
        return {**corpus, **compare(folder, corpus["bytes"], arguments.runs)}


def compare(folder: Path, size: int, runs: int) -> dict[str, Any]:
    """Run both so many times; the phases are those of the last job."""
    rates: defaultdict[str, list[float]] = defaultdict(list)
    cpu: defaultdict[str, list[float]] = defaultdict(list)
    with warm_session(folder) as spark, open_processes(count_cores(spark)) as pool:
        print_line(f"{size / 1e6:.1f} MB, {count_cores(spark)} cores")
        for _ in range(runs):
            with watch_processes() as job:
                done = run_job(spark, folder / "in", folder / "job")
            shutil.rmtree(folder / "job")
            rates["job"].append(done.mb_per_s)
            shares = deal_shares(prepare_job(folder / "in", folder / "limit"), count_cores(spark))
            with watch_processes() as limit:
                rates["limit"].append(size / 1e6 / time_all(pool, run_share, shares))
            shutil.rmtree(folder / "limit")
            cpu["CPU s, job"].append(sum(job.cpu_s.values()))
            cpu["CPU s, limit"].append(limit.cpu_s.get("limit", 0.0))
    rates["ratio job/limit"] = divide(rates["job"], rates["limit"])
    print_rates("MB/s", rates)
    print_rates("CPU seconds", cpu)
    print_stages("where the last job's time goes", done.phases)
    print_stages("and its CPU time", job.cpu_s)
    return {"mb_per_s": rates, "cpu_s": cpu, "phases_s": done.phases, "job_cpu_s": job.cpu_s}
