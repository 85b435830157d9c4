"""scripts/bench limit: what this machine can do at most, without Spark, as a whole and part by part.

As many processes as there are cores work side by side. All rates are MB (10^6 bytes) of input per second: one
over the rate of the whole is about the sum of one over those of its parts. memcpy copies the same number of
bytes: no program that looks at them is faster.
"""

import argparse
import shutil
from collections import defaultdict
from typing import Any

from bench_batches import prepare_job
from bench_corpus import describe, write_corpus
from bench_figures import MIB, add_folder_argument, count_cores, print_line, print_rates, work_folder
from bench_without_spark import (
    Work,
    copy_memory,
    deal_shares,
    encode_share,
    load_share,
    open_processes,
    parse_share,
    read_share,
    run_share,
    time_all,
)

HELP = "the same work without Spark, and its parts: memcpy, read, parse, encode"

PARTS: dict[str, Work] = {
    "memcpy": copy_memory,
    "read": load_share,
    "read, digest, find form": read_share,
    "read and parse": parse_share,
    "encode Parquet": encode_share,
    "limit": run_share,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what can be chosen."""
    parser.add_argument("--mib", type=int, default=400, help="size of the input (%(default)s)")
    parser.add_argument("--file-kib", type=int, default=2048, help="size of a file (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each part (%(default)s)")
    add_folder_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, print, and give the figures."""
    cores = count_cores()
    rates: defaultdict[str, list[float]] = defaultdict(list)
    with work_folder(arguments.dir) as folder, open_processes(cores) as pool:
        corpus = describe(write_corpus(folder / "in", arguments.mib * MIB, arguments.file_kib << 10))
        megabytes = corpus["bytes"] / 1e6
        print_line(f"{megabytes:.1f} MB, {cores} processes")
        for _ in range(arguments.runs):
            for name, work in PARTS.items():
                shares = deal_shares(prepare_job(folder / "in", folder / "out"), cores)
                rates[name].append(megabytes / time_all(pool, work, shares))
                shutil.rmtree(folder / "out")
        parses = zip(rates["read and parse"], rates["read, digest, find form"], strict=True)
        rates["parse alone"] = [1 / (1 / both - 1 / read) for both, read in parses]
    print_rates("MB/s, all processes", rates)
    return {**corpus, "mb_per_s": rates}
