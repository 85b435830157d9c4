"""SIGINT and SIGTERM in the middle of parsing: one line, nothing left behind, and the next run works."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from al3spark.cli import main
from al3spark.monitoring import Counts, StatusBoard
from al3spark.sampling import sample_bytes
from al3spark.store.places import open_place

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parent.parent
FILES = 10
SLOWLY = ("--window-kib", "4", "--split-mib", "3")  # a few MB a second: there is time to interrupt it
DUE_S = 10
TOLD = "al3spark: interrupted; nothing half done is published"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 30 MB in files of 3 MB, which differ in the blanks at their ends only."""
    folder = tmp_path_factory.mktemp("source")
    messages = sample_bytes(1_000_000, seed=1) * 3
    for number in range(FILES):
        path = folder / f"{number}.al3"
        path.write_bytes(messages + b" " * number)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


@pytest.fixture
def running(source: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own, as a shell starts it, when it has parsed a part."""
    command = [sys.executable, "-m", "al3spark.cli", "ingest", source, tmp_path / "out", *SLOWLY]
    with subprocess.Popen(
        [*map(str, command), "--master", "local[1]"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr
        told = []
        for line in process.stderr:
            told.append(line)
            if "%" in line:
                break
        else:
            pytest.fail(f"it ended before it parsed: {told}")
        yield process
        process.kill()


def end(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Wait for the end, which must come in time; give the exit code and what was said."""
    out, err = process.communicate(timeout=DUE_S)
    assert out == ""
    return process.returncode, [line for line in err.splitlines() if line and not line.startswith("parsing")]


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def assert_nothing_is_left(destination: Path) -> None:
    (status,) = destination.glob("_al3spark/jobs/*/status.json")
    assert json.loads(status.read_text())["status"] == "cancelled"
    found = files_below(destination)
    assert [name for name in found if not name.startswith("_al3spark/")] == []
    assert [name for name in found if name.startswith("_al3spark/staging/")] == []


def assert_next_run_completes(source: Path, destination: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lock is free and nothing counts as ingested: a run at once reads a file and publishes it."""
    began = time.monotonic()
    with pytest.raises(SystemExit) as stopped:
        main(["ingest", str(source), str(destination), "--pattern", "0.al3", "--json"])
    manifest = json.loads(capsys.readouterr().out)
    assert (stopped.value.code, manifest["status"]) == (0, "completed")
    assert (manifest["summary"]["succeeded"], manifest["summary"]["skipped"]) == (1, 0)
    assert manifest["tables"]["policies"]["rows"] >= 400
    assert time.monotonic() - began < 60  # an owner who is not known to be gone is waited for twice as long


@pytest.mark.spark
@pytest.mark.slow
def test_ctrl_c_ends_a_run_cleanly(
    source: Path,
    running: subprocess.Popen[str],
    tmp_path: Path,
    spark: "SparkSession",
    capsys: pytest.CaptureFixture[str],
) -> None:
    os.killpg(running.pid, signal.SIGINT)  # a terminal sends it to everything that the command started
    assert end(running) == (130, [TOLD])
    assert_nothing_is_left(tmp_path / "out")
    assert_next_run_completes(source, tmp_path / "out", capsys)


@pytest.mark.newest
@pytest.mark.spark
@pytest.mark.slow
def test_sigterm_ends_a_run_cleanly_even_if_it_comes_twice(
    source: Path,
    running: subprocess.Popen[str],
    tmp_path: Path,
    spark: "SparkSession",
    capsys: pytest.CaptureFixture[str],
) -> None:
    running.terminate()
    time.sleep(0.3)
    running.terminate()
    assert end(running) == (143, [TOLD])
    assert_nothing_is_left(tmp_path / "out")
    assert_next_run_completes(source, tmp_path / "out", capsys)


@pytest.mark.spark
@pytest.mark.slow
def test_a_session_that_was_given_survives_an_interrupt(
    source: Path, tmp_path: Path, spark: "SparkSession", capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        while not list(tmp_path.glob("out/_al3spark/jobs/*/status.json")):
            time.sleep(0.05)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(SystemExit) as stopped:
        main(["ingest", str(source), str(tmp_path / "out"), *SLOWLY])
    assert stopped.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == TOLD
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert spark.range(3).count() == 3
    tracker = spark.sparkContext.statusTracker()
    due = time.monotonic() + DUE_S
    while (
        tracker.getActiveJobsIds() and time.monotonic() < due
    ):  # it hears of the end of a job a little later
        time.sleep(0.1)
    assert list(tracker.getActiveJobsIds()) == []


@pytest.fixture
def sigterm_in_a_second() -> Iterator[None]:
    """Should it come when the command is over, it does no harm."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    yield
    timer.cancel()
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm_in_a_second")
def test_a_command_without_spark_is_terminated_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    StatusBoard(open_place(str(tmp_path)), "batch-20260102-abc123", stop=lambda: None).begin(Counts())
    with pytest.raises(SystemExit) as stopped:
        main(["status", str(tmp_path), "--watch"])
    assert stopped.value.code == 143
    assert capsys.readouterr().err.splitlines()[-1] == TOLD


SWALLOWS = """
import os, signal, time
import al3spark.cli, al3spark.commands.format_cli

class Archive:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)

def load(*folders):
    Archive()
    time.sleep(60)

al3spark.commands.format_cli.load_dictionary = load
al3spark.cli.main(["dictionary", "list"])
"""


def test_a_signal_that_a_destructor_swallows_comes_again() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SWALLOWS], capture_output=True, text=True, cwd=ROOT, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout) == (143, "")
    assert ended.stderr.splitlines()[-1] == TOLD


def kill_java(process: subprocess.Popen[str], number: int) -> None:
    """End the Java process that a command has started, and it alone."""
    (java,) = subprocess.run(
        ["pgrep", "-P", str(process.pid), "java"], capture_output=True, text=True, check=True
    ).stdout.split()
    os.kill(int(java), number)


@pytest.mark.newest
@pytest.mark.spark
@pytest.mark.slow
def test_java_that_is_killed_ends_a_run_in_one_line_of_ours(
    source: Path,
    running: subprocess.Popen[str],
    tmp_path: Path,
    spark: "SparkSession",
    capsys: pytest.CaptureFixture[str],
) -> None:
    kill_java(running, signal.SIGKILL)
    out, err = running.communicate(timeout=DUE_S)
    assert (running.returncode, out) == (1, "")
    # A thread of pyspark may complain too, before or after it, in words of its own.
    (line,) = (line for line in err.splitlines() if line.startswith("al3spark: "))
    assert line.startswith("al3spark: the Java process of Spark has ended, ")
    assert f'File "{ROOT}/al3spark/' not in err
    (status,) = (tmp_path / "out").glob("_al3spark/jobs/*/status.json")
    assert json.loads(status.read_text())["status"] == "failed"
    assert [name for name in files_below(tmp_path / "out") if not name.startswith("_al3spark/")] == []
    assert_next_run_completes(source, tmp_path / "out", capsys)
