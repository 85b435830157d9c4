"""A real cluster, a master and two workers, whose processes are killed while the command runs on it.

A hook in the Python workers notes every file that a task begins to parse and every table that it begins to
write. One task is held there, the second of its step in its executor: so tasks of the step were done before,
and there is something to lose with the executor. What is held is never let go: a run ends because Spark goes
on without it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from al3spark.sampling import sample_bytes
from al3spark.spark.reading import identify
from tests.batches import ROOT, Tables, faults, ingest, put, read_rows, read_tables, staged_files, statuses
from tests.clusters import DUE_S, SETTINGS, launch, put_settings, run_cluster

NAMES = [f"{number}.al3" for number in range(6)]  # each a split of its own

# Several write tasks, however little there is to write; no task before both executors are there.
SPREAD = {
    "spark.cores.max": "2",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "100s",
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.shuffle.io.retryWait": "500ms",
    "spark.sql.adaptive.coalescePartitions.minPartitionNum": "4",
    "spark.sql.adaptive.coalescePartitions.minPartitionSize": "16k",
}
SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "200ms",
    "spark.speculation.multiplier": "1.1",
    "spark.speculation.quantile": "0.2",
}

# Imported by every Python process of an executor when it starts.
HOOK = """
import json, os, sys, time
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from pathlib import Path

NOTES, HOLD = Path(os.environ["NOTES"]), os.environ["HOLD"].split()


def begin(step, path=""):
    from pyspark import TaskContext

    context, daemon = TaskContext.get(), os.getppid()
    if context is None:  # a child of a worker, for files that may kill it
        return
    task = context.taskAttemptId()
    executor = int(Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()[1])
    held = step in HOLD and is_second(step, executor, task) and is_first_held(step)
    note = {"step": step, "path": path, "task": task, "partition": context.partitionId(), "held": held}
    note |= {"worker": os.getpid(), "executor": executor}
    name = NOTES / f"{time.time_ns()}-{os.getpid()}"
    name.write_text(json.dumps(note))
    name.rename(name.with_suffix(".json"))
    while held and os.getppid() == daemon:
        time.sleep(0.05)


def is_second(step, executor, task):
    notes = [json.loads(path.read_text()) for path in NOTES.glob("*.json")]
    tasks = {each["task"] for each in notes if (each["step"], each["executor"]) == (step, executor)}
    return bool(tasks - {task})


def is_first_held(step):
    try:
        (NOTES / f"held-{step}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def hook_parsing(module):
    def noting(method):
        def note(self, path, *given):
            begin("parse", path)
            return method(self, path, *given)

        return note

    module.SplitParser.parse = noting(module.SplitParser.parse)
    module.SplitParser.fail = noting(module.SplitParser.fail)


def hook_writing(module):
    write_rows = module.write_rows

    def note(*given):
        begin("write")
        write_rows(*given)

    module.write_rows = note


HOOKS = {"al3spark.al3.parsing": hook_parsing, "al3spark.spark.writing": hook_writing}


class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        hook = HOOKS.pop(name, None)
        if hook is None:
            return None
        spec = find_spec(name)
        load = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (load(module), hook(module))
        return spec


sys.meta_path.insert(0, Finder())
"""

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@dataclass(frozen=True, slots=True)
class Note:
    """A task that begins to parse a file, or to write a table. `worker`, `executor`: ids of processes."""

    step: str
    path: str
    task: int  # no two attempts have the same
    partition: int
    held: bool
    worker: int
    executor: int

    @property
    def name(self) -> str:
        return Path(self.path).name


@dataclass(frozen=True, slots=True)
class Run:
    """The command while it runs on the cluster; what it writes is in a folder."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def destination(self) -> Path:
        return self.folder / "out"

    def notes(self, step: str) -> list[Note]:
        """What was noted of a step so far, in order of time."""
        found = [Note(**json.loads(path.read_text())) for path in sorted(self.folder.glob("notes/*.json"))]
        return [note for note in found if note.step == step]

    def parsed_by(self, executor: int) -> list[str]:
        """Names of the files that an executor began to parse."""
        return sorted(note.name for note in self.notes("parse") if note.executor == executor)

    def times_parsed(self) -> Counter[str]:
        """How often a task began to parse each file."""
        return Counter(note.name for note in self.notes("parse"))

    def wait_until_held(self, step: str) -> Note:
        """The task that is held at a step."""
        due = time.monotonic() + DUE_S
        while not (held := [note for note in self.notes(step) if note.held]):
            assert self.process.poll() is None, self.told()
            assert time.monotonic() < due
            time.sleep(0.05)
        return held[0]

    def end(self) -> dict[str, Any]:
        """Wait for the end, which must be a good one; give the manifest."""
        assert self.process.wait(DUE_S) == 0, self.told()
        manifest: dict[str, Any] = json.loads((self.folder / "stdout").read_text())
        return manifest

    def told(self) -> str:
        """What the command wrote to standard error so far."""
        return (self.folder / "stderr").read_text()

    def chunk_attempts(self) -> set[int]:
        """How often the job itself ran the chunk: once, whatever Spark repeated."""
        return {attempts for (attempts,) in read_rows(self.destination, "files", "attempts")}


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a cluster of two workers with one core each.

    They are two hosts, both on loopback: Spark runs no second copy of a task on the host of the first.
    """
    folder, hosts = tmp_path_factory.mktemp("cluster"), ("127.0.0.1", "127.0.0.2")
    with run_cluster(folder, {**os.environ, "PYSPARK_PYTHON": sys.executable}, hosts) as url:
        yield url


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {name: sample_bytes(600_000, seed=seed) for seed, name in enumerate(NAMES)}
    return put(tmp_path_factory.mktemp("source"), files)


@pytest.fixture(scope="module")
def undisturbed(source: Path, spark: object, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The tables of a local run over the same source."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert ingest(source, folder)["status"] == "completed"
    return read_tables(folder)


Start = Callable[..., Run]


@pytest.fixture
def start(master: str, tmp_path: Path) -> Iterator[Start]:
    """start(source, hold, settings): run the command on the cluster.

    `hold`: steps at which a task is held. `settings`: more of Spark.
    """
    (tmp_path / "notes").mkdir()
    put(tmp_path / "hook", {"sitecustomize.py": HOOK.encode()})
    with ExitStack() as stack:

        def start_run(source: Path, hold: str, settings: dict[str, str] | None = None) -> Run:
            hooked = {
                "spark.executorEnv.HOLD": hold,
                "spark.executorEnv.NOTES": str(tmp_path / "notes"),
                "spark.executorEnv.PYTHONPATH": f"{tmp_path / 'hook'}{os.pathsep}{ROOT}",
            }
            conf = put_settings(tmp_path / "conf", {**SETTINGS, **SPREAD, **hooked, **(settings or {})})
            command = [sys.executable, "-m", "al3spark.cli", "ingest", source, tmp_path / "out"]
            options = ["--master", master, "--split-mib", 1, "--min-age-s", 0, "--json"]
            environment = {
                **os.environ,
                "PYSPARK_PYTHON": sys.executable,
                "SPARK_CONF_DIR": str(conf),
                "SPARK_LOCAL_IP": "127.0.0.1",
            }
            out, err = tmp_path / "stdout", tmp_path / "stderr"
            return Run(launch(stack, [*command, *options], environment, out, err), tmp_path)

        yield start_run


def command_of(pid: int) -> str:
    """The command line of a process; "" if there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def kill(pid: int, word: str) -> None:
    """Kill a process, which must be there and have a word in its command, and wait until it is gone."""
    assert word in command_of(pid)
    os.kill(pid, signal.SIGKILL)
    while command_of(pid):
        time.sleep(0.01)


def kill_executor(held: Note) -> None:
    kill(held.executor, "CoarseGrainedExecutorBackend")


def executors_of_retries(run: Run, held: Note) -> list[int]:
    """Where later attempts of the task began that was held; a task can write several tables."""
    later = {
        note.task: note.executor
        for note in run.notes(held.step)
        if (note.partition, note.path) == (held.partition, held.path) and note.task > held.task
    }
    return list(later.values())


def assert_complete(run: Run, undisturbed: Tables) -> None:
    """The tables are those of a run to which nothing happened, and the job ran its chunk once."""
    assert run.end()["status"] == "completed"
    assert read_tables(run.destination) == undisturbed
    assert staged_files(run.destination) == []
    assert run.chunk_attempts() == {1}


@pytest.mark.newest
@pytest.mark.parametrize("step", ["parse", "write"])
def test_a_killed_python_worker_costs_its_task_one_attempt(
    source: Path, undisturbed: Tables, start: Start, step: str
) -> None:
    run = start(source, step)
    held = run.wait_until_held(step)
    kill(held.worker, "pyspark.daemon")
    assert_complete(run, undisturbed)
    assert len(executors_of_retries(run, held)) == 1
    assert run.times_parsed() == Counter([*NAMES, *([held.name] if step == "parse" else [])])


@pytest.mark.newest
def test_what_an_executor_parsed_is_parsed_again_if_it_is_lost_in_the_parse(
    source: Path, undisturbed: Tables, start: Start
) -> None:
    run = start(source, "parse")
    held = run.wait_until_held("parse")
    kill_executor(held)
    lost = run.parsed_by(held.executor)
    assert_complete(run, undisturbed)
    assert len(lost) >= 2  # what was held, and what was done before it
    assert run.times_parsed() == Counter([*NAMES, *lost])


def test_what_an_executor_parsed_is_parsed_again_if_it_is_lost_in_the_write(
    source: Path, undisturbed: Tables, start: Start
) -> None:
    run = start(source, "write")
    held = run.wait_until_held("write")
    kill_executor(held)
    lost = run.parsed_by(held.executor)
    assert_complete(run, undisturbed)
    assert executors_of_retries(run, held) != []
    assert lost != []
    assert run.times_parsed() == Counter([*NAMES, *lost])


def rows_of_records(tables: Tables, without: str = "") -> Tables:
    """The rows that records became, but for those of a file, by its id: their first value is a file_id."""
    kept = {
        name: [row for row in rows if row[0] != without]
        for name, rows in tables.items()
        if name not in ("files", "errors")
    }
    return {name: rows for name, rows in kept.items() if rows}


def test_a_file_that_changes_before_lost_rows_of_it_are_parsed_again_is_left_to_the_next_run(
    source: Path, undisturbed: Tables, start: Start, tmp_path: Path
) -> None:
    changing = shutil.copytree(source, tmp_path / "in")
    run = start(changing, "write")
    held = run.wait_until_held("write")
    changed, *_ = run.parsed_by(held.executor)
    old = identify((changing / changed).read_bytes())
    put(changing, {changed: sample_bytes(600_000, seed=99)})
    kill_executor(held)

    # Tables were written before it, with rows of the old content: all of it is thrown away.
    assert run.end()["status"] == "partial_success"
    assert run.chunk_attempts() == {2}
    assert run.times_parsed()[changed] >= 2
    ended = dict.fromkeys(NAMES, "succeeded_with_faults") | {changed: "failed"}
    assert statuses(run.destination, changing) == ended
    assert [code for name, code in faults(run.destination, changing) if name == changed] == ["FILE_CHANGED"]
    assert rows_of_records(read_tables(run.destination)) == rows_of_records(undisturbed, without=old)
    assert staged_files(run.destination) == []

    assert ingest(changing, run.destination)["summary"]["succeeded"] == 1
    ingest(changing, tmp_path / "fresh")
    found = rows_of_records(read_tables(run.destination))
    assert found == rows_of_records(read_tables(tmp_path / "fresh"))


@pytest.mark.newest
def test_copies_of_slow_tasks_that_win_change_nothing(
    source: Path, undisturbed: Tables, start: Start
) -> None:
    run = start(source, "parse write", SPECULATION)
    slow = [run.wait_until_held(step) for step in ("parse", "write")]
    assert_complete(run, undisturbed)
    assert [len(executors_of_retries(run, held)) for held in slow] == [1, 1]
    assert not [held for held in slow if held.executor in executors_of_retries(run, held)]
