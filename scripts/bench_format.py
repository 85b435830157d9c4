"""scripts/bench format: the format code on one core, against a parser that takes one record after the other.

Both parse the same bytes in the same process, in alternation, and must give equal tables. Rates are MB (10^6
bytes) of file per second of CPU time, which other programs on the machine disturb less than they do a clock.
"""

import argparse
import functools
import gc
import inspect
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from bench_baseline import parse_by_record
from bench_comparing import Tables, find_differences
from bench_figures import print_line, print_rates, print_stages

from al3spark.al3 import decoding, gathering
from al3spark.al3.blocks import plain_rows
from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.al3.framing import Framer
from al3spark.al3.hierarchy import Linker
from al3spark.al3.parsing import SplitParser
from al3spark.al3.squeeze import Expander, FormScan
from al3spark.sampling import sample_bytes

HELP = "the format code on one core, against a per-record parser"

WINDOW = 4 << 20
FILE_ID = "0" * 32
SEED = 1


def parse_format(data: bytes, dictionary: Dictionary) -> Tables:
    """Parse a file as a task does: window by window, to Arrow tables."""
    scan, parser = FormScan(), SplitParser(dictionary)
    for window in _windows(data):
        scan.feed(window)
    scan.feed(b"", final=True)
    batches = defaultdict(list)
    for block in (*parser.parse("sample.al3", FILE_ID, scan.form, _windows(data)), *parser.flush()):
        batches[block.table].append(plain_rows(block.batch))
    return {name: pa.Table.from_batches(parts) for name, parts in batches.items()}


def _windows(data: bytes) -> Iterator[bytes]:
    return (data[at : at + WINDOW] for at in range(0, len(data), WINDOW))


def cpu_seconds(work: Callable[[], object]) -> float:
    """Measure one run."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


class Stopwatch:
    """CPU seconds by stage; a stage inside another one counts for itself only."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inner: list[float] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside for a stage."""
        began = time.process_time()
        self._inner.append(0.0)
        try:
            yield
        finally:
            took = time.process_time() - began
            self.seconds[name] += took - self._inner.pop()
            if self._inner:
                self._inner[-1] += took

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Make a function, or a generator step by step, count for a stage."""

        @functools.wraps(function)
        def timed(*args: object, **options: object) -> object:
            with self.stage(name):
                return function(*args, **options)

        @functools.wraps(function)
        def timed_steps(*args: object) -> Iterator[object]:
            steps = function(*args)
            while True:
                with self.stage(name):
                    step = next(steps, None)
                if step is None:
                    return
                yield step

        return timed_steps if inspect.isgeneratorfunction(function) else timed


def profile(data: bytes, dictionary: Dictionary) -> dict[str, float]:
    """Parse once, and give CPU seconds by stage, the longest first."""
    watch = Stopwatch()
    stages = (
        (FormScan, "feed", "expand"),
        (Expander, "feed", "expand"),
        (Framer, "feed", "frame"),
        (Linker, "link", "link"),
        (gathering.Gatherer, "add", "gather"),
        (gathering.Gatherer, "add_unmapped", "gather"),
        (gathering.Gatherer, "flush", "gather"),
        (gathering.Gatherer, "_leading", "leading columns"),
        (gathering, "decode_group", "decode: blanks, the rest"),
    )
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in stages]
    decoders = dict(decoding.DECODERS)
    try:
        for owner, name, stage in stages:
            setattr(owner, name, watch.wrap(stage, getattr(owner, name)))
        for kind, decoder in decoders.items():
            decoding.DECODERS[kind] = watch.wrap(f"decode: {kind}", decoder)
        with watch.stage("headers, keys, the rest"):
            parse_format(data, dictionary)
    finally:
        decoding.DECODERS.update(decoders)
        for owner, name, function in kept:
            setattr(owner, name, function)
    return dict(sorted(watch.seconds.items(), key=lambda item: -item[1]))


def differing(expected: Tables, got: Tables) -> list[str]:
    """Name the tables that are not equal; `errors` aside, which the baseline does not have."""
    return sorted({difference.partition(".")[0] for difference in find_differences(expected, got)})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what can be chosen."""
    parser.add_argument("--mib", type=int, default=64, help="size of the sample file (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each parser (%(default)s)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare, print, and give the figures."""
    use_one_core()
    dictionary = load_dictionary()
    data = sample_bytes(arguments.mib << 20, SEED)
    parsers: dict[str, Callable[[], Tables]] = {
        "baseline": lambda: parse_by_record(data, FILE_ID, dictionary),
        "al3spark": lambda: parse_format(data, dictionary),
    }
    records = check_equal(*(parse() for parse in parsers.values()))
    print_line(f"{len(data) / 1e6:.1f} MB, {records} records: baseline and al3spark give equal tables")
    rates = defaultdict(list)
    for _ in range(arguments.runs):
        for name, parse in parsers.items():
            rates[name].append(len(data) / 1e6 / cpu_seconds(parse))
    rates["ratio"] = [
        ours / theirs for ours, theirs in zip(rates["al3spark"], rates["baseline"], strict=True)
    ]
    stages = profile(data, dictionary)
    print_rates("MB/s, one core", rates)
    print_stages("where the time goes", stages)
    return {"bytes": len(data), "records": records, "mb_per_s": rates, "stages_s": stages}


def use_one_core() -> None:
    """Keep this process, and the threads of pyarrow, on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)


def check_equal(expected: Tables, got: Tables) -> int:
    """End the program unless the tables are equal; count their records."""
    if different := differing(expected, got):
        sys.exit(f"bench: baseline and al3spark differ in {', '.join(different)}")
    return sum(table.num_rows for table in expected.values())
