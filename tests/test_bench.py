"""scripts/bench and the modules beside it, which are no package."""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from al3spark.al3.decoding import DECODERS
from al3spark.al3.dictionary import load_dictionary
from al3spark.sampling import SENDERS, Sender, sample_bytes
from al3spark.sampling.senders import Form

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parent.parent
PLAIN = tuple(sender for sender in SENDERS if sender.form is Form.PLAIN)


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let modules beside scripts/bench be imported."""
    monkeypatch.syspath_prepend(ROOT / "scripts")


@pytest.fixture
def bench_format() -> ModuleType:
    return importlib.import_module("bench_format")


def run_command(name: str, folder: Path, *words: str) -> Any:
    """Run a command of scripts/bench in this process; give its figures."""
    module = importlib.import_module(f"bench_{name}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.run(parser.parse_args([*words, "--dir", str(folder)]))


@pytest.mark.parametrize("sender", PLAIN, ids=[sender.code for sender in PLAIN])
def test_baseline_and_parser_give_equal_tables(sender: Sender, bench_format: ModuleType) -> None:
    dictionary, data = load_dictionary(), sample_bytes(500_000, seed=2, sender=sender)
    expected = bench_format.parse_by_record(data, bench_format.FILE_ID, dictionary)
    got = bench_format.parse_format(data, dictionary)
    assert bench_format.differing(expected, got) == []
    assert len(expected) == 26


def test_tables_that_differ_are_named(bench_format: ModuleType) -> None:
    dictionary, data = load_dictionary(), sample_bytes(200_000, seed=2)
    expected = bench_format.parse_by_record(data, bench_format.FILE_ID, dictionary)
    got = bench_format.parse_format(data.replace(b"TOYOTA", b"TOYODA"), dictionary)
    del got["drivers"]
    assert bench_format.differing(expected, got) == ["drivers", "vehicles"]


def test_a_profile_leaves_the_parser_as_it_was(bench_format: ModuleType) -> None:
    before = dict(DECODERS)
    stages = bench_format.profile(sample_bytes(50_000, seed=2), load_dictionary())
    assert before == DECODERS
    assert {"expand", "frame", "link", "gather", "leading columns", "decode: name"} < stages.keys()


def test_bench_format_prints_and_writes_its_figures(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/bench", "format", "--mib", "4", "--runs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "figures.json")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert done.stdout.startswith("4.2 MB, ")
    assert "where the time goes" in done.stdout
    assert figures["mb_per_s"].keys() == {"baseline", "al3spark", "ratio"}
    assert [len(rates) for rates in figures["mb_per_s"].values()] == [1, 1, 1]


# Inputs


def fault_codes(data: bytes, bench_format: ModuleType) -> set[str]:
    tables = bench_format.parse_format(data, load_dictionary())
    return set(tables["errors"]["code"].to_pylist()) if "errors" in tables else set()


def test_derived_files_are_valid_and_unlike(bench_format: ModuleType) -> None:
    bench_corpus = importlib.import_module("bench_corpus")
    moulds = bench_corpus.make_moulds(size=90_000, file_bytes=30_000)
    files = bench_corpus.derive_files(moulds, seed=1)
    derived = [next(files) for _ in range(2 * len(moulds))]
    assert len({len(data) for data in derived}) == len(set(derived)) == 6
    made = bench_format.parse_format(moulds[0].data.tobytes(), load_dictionary())
    got = bench_format.parse_format(derived[0], load_dictionary())
    assert {name: table.num_rows for name, table in made.items()} == {
        name: table.num_rows for name, table in got.items()
    }
    assert made["vehicles"]["vin"] != got["vehicles"]["vin"]
    assert {code for data in derived for code in fault_codes(data, bench_format)} == {"GROUP_UNMAPPED"}


@pytest.mark.parametrize(
    ("write", "sizes"),
    [
        ("write_one_group", (400_000, 100_000)),
        ("write_small_files", (24,)),
        ("write_one_transaction", (5 << 20,)),
    ],
)
def test_odd_shapes_are_valid(
    write: str, sizes: tuple[int, ...], tmp_path: Path, bench_format: ModuleType
) -> None:
    getattr(importlib.import_module("bench_inputs"), write)(tmp_path / "in", *sizes)
    written = {path.read_bytes() for path in tmp_path.rglob("*.al3")}
    assert {code for data in written for code in fault_codes(data, bench_format)} <= {"GROUP_UNMAPPED"}
    assert len(written) == {"write_one_group": 4, "write_small_files": 24}.get(write, 1)


# Comparing


def table_of(**columns: Any) -> pa.Table:
    return pa.table({"file_id": ["a", "a"], "record_offset": [0, 9], **columns})


EXPECTED = {"vehicles": table_of(vin=["X", "Y"]), "errors": table_of(), "forms": table_of(name=["F", None])}


def test_equal_tables_do_not_differ_whatever_the_order_of_rows() -> None:
    got = {"vehicles": EXPECTED["vehicles"].take([1, 0]), "forms": EXPECTED["forms"], "files": table_of()}
    assert importlib.import_module("bench_comparing").find_differences(EXPECTED, got) == []


@pytest.mark.parametrize(
    ("table", "difference"),
    [
        (table_of(vin=["X", "Z"]), "vehicles.vin"),
        (table_of(vin=["X", None]), "vehicles.vin"),
        (table_of(vin=["X", "Y"]).slice(1), "vehicles"),
        (table_of(vin=pa.array(["X", "Y"], pa.large_string())), "vehicles"),
        (table_of(number=["X", "Y"]), "vehicles"),
    ],
    ids=["a cell", "a null", "a row", "a type", "a name"],
)
def test_a_difference_is_named(table: pa.Table, difference: str) -> None:
    got = {**EXPECTED, "vehicles": table}
    assert importlib.import_module("bench_comparing").find_differences(EXPECTED, got) == [difference]


def test_peers_ends_where_a_cell_differs() -> None:
    bench_peers = importlib.import_module("bench_peers")
    got = {**EXPECTED, "vehicles": table_of(vin=["X", "Z"])}
    with pytest.raises(SystemExit, match=r"differ in vehicles\.vin$"):
        bench_peers.check_equal(EXPECTED, got)
    assert bench_peers.check_equal(EXPECTED, EXPECTED) == 6


# Commands


def test_limit_tells_each_part(tmp_path: Path) -> None:
    figures = run_command("limit", tmp_path, "--mib", "1", "--file-kib", "200", "--runs", "1")
    assert figures["mb_per_s"].keys() == {*importlib.import_module("bench_limit").PARTS, "parse alone"}
    assert [len(rates) for rates in figures["mb_per_s"].values()] == [1] * 7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "scripts/bench",
        "limit",
        "--mib",
        "16",
        "--runs",
        "99",
        "--dir",
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout
        run.stdout.readline()  # it has begun
        assert list(tmp_path.iterdir()) != []
        run.send_signal(number)
        _, told = run.communicate()
    assert told.decode().endswith("bench: interrupted\n")
    assert run.returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spark
@pytest.mark.newest
def test_job_is_compared_with_the_same_work_without_spark(spark: "SparkSession", tmp_path: Path) -> None:
    figures = run_command("job", tmp_path, "--mib", "1", "--file-kib", "200", "--runs", "1")
    rates = figures["mb_per_s"]
    assert rates["ratio job/limit"] == [rates["job"][0] / rates["limit"][0]]
    assert figures["phases_s"].keys() > {"parse stage", "write stage"}
    assert figures["job_cpu_s"].keys() >= {"driver", "jvm", "worker"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spark
@pytest.mark.newest
def test_peers_give_equal_tables(spark: "SparkSession", tmp_path: Path) -> None:
    figures = run_command("peers", tmp_path, "--mib", "1", "--file-kib", "400", "--runs", "1")
    assert figures["mb_per_s"].keys() == {"job", "plain PySpark", "ratio job/plain PySpark"}
    assert figures["records"] > 1000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spark
@pytest.mark.newest
def test_scale_reads_more_and_more_of_the_same_files(spark: "SparkSession", tmp_path: Path) -> None:
    figures = run_command("scale", tmp_path, "--mib", "1", "--file-kib", "1024", "--runs", "1")
    files = [each["files"] for each in figures["inputs"].values()]
    assert sorted(files) == files
    assert figures["inputs"]["16x"]["bytes"] >= 16 << 20
    assert len(figures["growth"]) == 1


@pytest.mark.spark
@pytest.mark.newest
def test_shapes_tell_time_tasks_files_and_memory(spark: "SparkSession", tmp_path: Path) -> None:
    sizes = ("--mib", "1", "--small-files", "30", "--transaction-mib", "1", "--large-mib", "1")
    figures = run_command("shapes", tmp_path, *sizes, "--large-files", "4", "--over-time")
    shapes = figures["shapes"]
    counts = {name: each["files"] for name, each in shapes.items()}
    assert counts["files of 2 KB"] == 30
    assert counts["one transaction"] == counts["one file"] == 1
    assert counts["as many files"] == 4
    assert shapes["150 groups"]["tables"] > 150
    assert all(each["written"] <= each["justified"] for each in shapes.values())
    assert all(each["worker MiB"] > 50 for each in shapes.values())
    assert figures["memory_mib"].keys() == shapes.keys()
    processes = {
        process.split()[0] for _, resident in figures["memory_mib"]["one file"] for process in resident
    }
    assert processes >= {"driver", "jvm", "worker"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.newest
@pytest.mark.spark
@pytest.mark.slow
def test_bench_start_runs_each_command() -> None:
    command = [sys.executable, "scripts/bench", "start", "--runs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    names = ["empty job", "ingest", "inspect", "--help", "ingest / empty"]
    assert [line[:16].rstrip() for line in done.stdout.splitlines()[3:]] == names
