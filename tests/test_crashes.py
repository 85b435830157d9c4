"""Drivers that are killed or stopped at the worst moments, disks that fill up: what is left is whole.

A driver here is a process forked for one command, so that all share one start of Java; test_batch.py kills
a whole one.
"""

import functools
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pyspark.sql import SparkSession

from al3spark import batch
from al3spark.cli import main
from al3spark.config import Archive
from al3spark.sampling import sample_bytes
from al3spark.spark.session import open_session
from al3spark.store.documents import list_jobs, read_status
from al3spark.store.lock import acquire
from al3spark.store.places import Place, open_place
from tests.batches import (
    ROOT,
    al3,
    al3spark,
    ingest,
    published_files,
    put,
    read_rows,
    read_tables,
    run,
    staged_files,
    statuses,
)
from tests.buckets import Bucket, tables_of
from tests.servers import make_bucket

# What comes after a driver is run in the session of the tests.
pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark")]


def on_both_if(wanted: bool) -> tuple[pytest.MarkDecorator, ...]:
    """Marks for a parameter that is tried on Spark 3.5 too only where that is wanted."""
    return () if wanted else (pytest.mark.newest,)


MIB = 1 << 20
KILL, STOP = "kill", "stop"
IN_CHUNKS = ("--min-age-s", "0", "--chunk-mib", "1", "--split-mib", "1")
STEPS = ("listing", "identifying", "parsing", "done")


# Drivers, and what befalls them


@dataclass(frozen=True, slots=True)
class Strike:
    """What befalls a driver before call number `call` of a method of its places for names like `names`.

    `what`: KILL, STOP, or a command of the shell. The calls come one after the other.
    """

    method: str
    names: str = ""
    call: int = 1
    what: str = KILL

    def arm(self) -> None:
        """Lie in wait, in this process."""
        turn, calls = threading.Lock(), itertools.count(1)
        for place in (type(open_place(".")), type(open_place("s3://any-bucket"))):
            setattr(place, self.method, self._struck(getattr(place, self.method), turn, calls))

    def _struck(self, method: Any, turn: threading.Lock, calls: Iterator[int]) -> Any:
        def struck(self_: object, what: Any, *more: Any) -> Any:
            if not re.search(self.names, getattr(what, "final_name", what)):
                return method(self_, what, *more)
            with turn:
                if next(calls) == self.call:
                    self.hit()
                return method(self_, what, *more)

        return struck

    def hit(self) -> None:
        """Do it, to this very thread: it goes no step further."""
        number = {KILL: signal.SIGKILL, STOP: signal.SIGSTOP}.get(self.what)
        if number:
            signal.pthread_kill(threading.get_ident(), number)
        else:
            subprocess.run(self.what, shell=True, check=True)


@dataclass(frozen=True, slots=True)
class Drivers:
    """Runs commands in processes forked from one that has a session. `told`: where they write."""

    process: "subprocess.Popen[str]"
    told: Path

    def run(self, strike: Strike, *arguments: object) -> str:
        """Run a command until it is `killed`, `stopped`, or ends: `exit <code>`."""
        order = {"strike": asdict(strike), "told": str(self.told), "arguments": list(map(str, arguments))}
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def wake(self) -> str:
        """Let the one that is stopped go on to its end."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._answer()

    def complaints(self) -> list[str]:
        """What the last one told beside its progress."""
        return [line for line in self.told.read_text().splitlines() if not line.startswith(STEPS)]

    def _answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip() or self.told.read_text()


def serve() -> None:
    """Carry out orders from standard input, each in a forked process; tell what became of it."""
    with open_session("local[2]"):
        for line in sys.stdin:
            if line.strip():
                pid = os.fork() or drive(**json.loads(line))
            else:
                os.kill(pid, signal.SIGCONT)
            _, status = os.waitpid(pid, os.WUNTRACED)
            sys.stdout.write(f"{outcome(status)}\n")
            sys.stdout.flush()


def drive(strike: dict[str, Any], told: str, arguments: list[str]) -> NoReturn:
    """Run one command; it shows more life than most: who waits a second for it in vain may take over."""
    with open(told, "wb") as file:  # noqa: PTH123 -- for its number
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    code: object = 1
    batch.acquire = functools.partial(acquire, heartbeat_s=0.2)
    try:
        Strike(**strike).arm()
        main(arguments)
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 -- the test sees it
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(str(code)))


def outcome(status: int) -> str:
    if os.WIFSTOPPED(status):
        return "stopped"
    return "killed" if os.WIFSIGNALED(status) else f"exit {os.waitstatus_to_exitcode(status)}"


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drivers]:
    with subprocess.Popen(
        [sys.executable, "-c", "from tests.test_crashes import serve; serve()"],
        cwd=ROOT,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield Drivers(process, tmp_path_factory.mktemp("drivers") / "told")
        os.killpg(process.pid, signal.SIGKILL)


# What they work on


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files, each a chunk of its own: blanks fill the first."""
    return put(
        tmp_path_factory.mktemp("source"), {"a.al3": al3(1).ljust(MIB), "b.al3": al3(2, 3, vehicles=2)}
    )


@pytest.fixture(scope="module")
def undisturbed(source: Path, spark: SparkSession) -> Path:
    """The destination of a run that nothing befell."""
    destination = source.parent / f"{source.name}-out"
    ingest(source, destination)
    return destination


@pytest.fixture(scope="module")
def planned(source: Path, drivers: Drivers) -> Path:
    """A destination whose driver was killed with the plan of its second chunk written; only for copies."""
    destination = source.parent / f"{source.name}-planned"
    ended = drivers.run(Strike("publish", "-000001-"), "ingest", source, destination, *IN_CHUNKS)
    assert ended == "killed", drivers.complaints()
    return destination


def policies(destination: Path) -> list[int]:
    """The policy numbers in the table."""
    return sorted(int(number[1:]) for (number,) in read_rows(destination, "policies", "policy_number"))


def job_of(destination: Path | Place) -> str:
    (job,) = list_jobs(open_place(str(destination)) if isinstance(destination, Path) else destination)
    return job


def recover(destination: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["recover", str(destination)])
    assert stopped.value.code == 0


def assert_dead(destination: Path, job: str) -> None:
    """Its status says that it failed, and when."""
    status = read_status(open_place(str(destination)), job)
    assert status
    assert (status["status"], bool(status["completed_at"])) == ("failed", True)


def assert_whole(destination: Path, undisturbed: Path) -> None:
    """The tables are those of a run that nothing befell, and nothing is left over."""
    assert read_tables(destination) == read_tables(undisturbed)
    assert staged_files(destination) == []


def assert_nothing_to_do(source: Path, destination: Path, skipped: int, **options: Any) -> None:
    summary = ingest(source, destination, **options)["summary"]
    assert (summary["processed"], summary["skipped"]) == (0, skipped)


# Killed


ONE, ALL = [1], [1, 2, 3]  # policies of the first chunk, of both
POINTS = {
    "all is staged": (Strike("create_document", r"plan-000001\.json"), ONE, ONE),
    "the plan is written": (Strike("publish", "-000001-"), ONE, ALL),
    "between two publishes": (Strike("publish", "-000001-", 4), ONE, ALL),
    "all but files is published": (Strike("publish", "^files/.*-000001-"), ONE, ALL),
    "files is published": (Strike("create_document", r"plan-000001\.verdict"), ALL, ALL),
    "the verdict is written": (Strike("create_document", r"plan-000001\.done"), ALL, ALL),
    "before the manifest": (Strike("write_document", "manifest.json"), ALL, ALL),
}
ON_BOTH = ("all is staged", "between two publishes")


@pytest.mark.slow
@pytest.mark.parametrize("point", [pytest.param(each, marks=on_both_if(each in ON_BOTH)) for each in POINTS])
def test_a_driver_killed_at_any_point_loses_nothing_and_doubles_nothing(
    point: str, source: Path, drivers: Drivers, destination: Path, undisturbed: Path, tmp_path: Path
) -> None:
    strike, committed, recovered = POINTS[point]
    ended = drivers.run(strike, "ingest", source, destination, *IN_CHUNKS)
    assert ended == "killed", drivers.complaints()
    job = job_of(destination)
    assert list(statuses(destination, source)) == ["a.al3", "b.al3"][: 1 if committed == ONE else 2]

    copy = shutil.copytree(destination, tmp_path / "copy")
    recover(copy)
    assert (policies(copy), staged_files(copy)) == (recovered, [])
    assert_dead(copy, job)

    ingest(source, destination)
    assert_whole(destination, undisturbed)
    assert_dead(destination, job)
    assert_nothing_to_do(source, destination, skipped=2)
    assert_whole(destination, undisturbed)


@pytest.mark.slow
@pytest.mark.newest
def test_a_driver_killed_while_it_removes_replaced_rows_leaves_none_of_them(
    tmp_path: Path, drivers: Drivers, destination: Path
) -> None:
    source = put(tmp_path / "in", {"a.al3": al3(1), "b.al3": al3(2)})
    ingest(source, destination)
    first = job_of(destination)
    put(source, {"a.al3": al3(3), "c.al3": al3(4)})
    undisturbed = shutil.copytree(destination, tmp_path / "undisturbed")
    ingest(source, undisturbed, on_changed="replace")
    replacing = ("--on-changed", "replace", "--min-age-s", 0)

    ended = drivers.run(Strike("remove", "/ingest_date=", 3), "ingest", source, destination, *replacing)
    assert ended == "killed", drivers.complaints()
    (job,) = set(list_jobs(open_place(str(destination)))) - {first}
    left = [name for name in published_files(destination) if first in name and not name.startswith("files/")]
    assert len(left) == 9 - 2  # a file each of nine tables is to go

    copy = shutil.copytree(destination, tmp_path / "copy")
    recover(copy)
    assert_whole(copy, undisturbed)
    assert_dead(copy, job)
    assert_nothing_to_do(source, destination, 3, on_changed="replace")
    assert_whole(destination, undisturbed)
    assert policies(destination) == [2, 3, 4]


@pytest.mark.slow
@pytest.mark.newest
def test_a_driver_killed_while_it_archives_leaves_the_rest_to_the_next(
    tmp_path: Path, drivers: Drivers, destination: Path
) -> None:
    files = {f"{number}.al3": al3(number) for number in range(4)}
    source, archive = put(tmp_path / "in", files), tmp_path / "archive"
    ingest(source, tmp_path / "undisturbed")

    archiving = ("--archive", archive, "--min-age-s", 0)
    ended = drivers.run(Strike("adopt", call=3), "ingest", source, destination, *archiving)
    assert ended == "killed", drivers.complaints()
    job = job_of(destination)
    assert (len(list(source.iterdir())), len(list(archive.rglob("*.al3")))) == (2, 2)

    manifest = ingest(source, destination, archive=Archive(str(archive)))
    assert (manifest["summary"]["archived"], manifest["summary"]["skipped"]) == (2, 2)
    assert list(source.iterdir()) == []
    assert {path.name: path.read_bytes() for path in (archive / job).iterdir()} == files
    assert {row[0] for row in read_rows(destination, "files", "archived_to")} == {
        f"{archive}/{job}/{name}" for name in files
    }
    found, expected = read_tables(destination), read_tables(tmp_path / "undisturbed")
    assert {name: rows for name, rows in found.items() if name != "files"} == {
        name: rows for name, rows in expected.items() if name != "files"
    }
    assert statuses(destination, source) == dict.fromkeys(files, "succeeded")
    assert_dead(destination, job)
    assert staged_files(destination) == []
    assert_nothing_to_do(source, destination, 0, archive=Archive(str(archive)))


REPAIRS = {
    "before the tombstone": Strike("create_document", r"plan-000002\.json"),
    "between two publishes": Strike("publish", "-000001-", 4),
    "before the verdict": Strike("create_document", r"plan-000001\.verdict"),
    "before it is done": Strike("create_document", r"plan-000001\.done"),
    "before it discards": Strike("discard_staged"),
    "before it clears the old lock": Strike("remove", r"lock-000000000001\."),
    "before it tells that the job died": Strike("write_document", r"status\.json"),
    "before the lock is released": Strike("create_document", r"\.released\.json"),
}


@pytest.mark.slow
@pytest.mark.newest
@pytest.mark.parametrize("point", REPAIRS)
def test_a_recovery_that_is_killed_itself_is_done_by_the_next(
    point: str, source: Path, planned: Path, drivers: Drivers, destination: Path, undisturbed: Path
) -> None:
    job = job_of(planned)
    shutil.copytree(planned, destination)
    assert drivers.run(REPAIRS[point], "recover", destination) == "killed", drivers.complaints()
    ingest(source, destination)
    assert_whole(destination, undisturbed)
    assert_dead(destination, job)
    assert_nothing_to_do(source, destination, skipped=2)


@pytest.mark.slow
@pytest.mark.newest
def test_a_plan_whose_staged_file_is_lost_is_rolled_back_and_its_input_read_again(
    source: Path, planned: Path, destination: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_of(planned)
    shutil.copytree(planned, destination)
    plan = json.loads((destination / "_al3spark/jobs" / job / "plan-000001.json").read_text())
    (lost,) = (each["token"] for each in plan["publish"] if each["final_name"].startswith("vehicles/"))
    (destination / lost).unlink()
    with pytest.raises(SystemExit):
        main(["recover", str(destination)])
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"taken over: {job}",
        f"rolled back: {job}/plan-000001",
    ]
    assert (policies(destination), staged_files(destination)) == (ONE, [])
    assert ingest(source, destination)["summary"]["succeeded"] == 1
    assert_whole(destination, undisturbed)
    assert_dead(destination, job)
    assert_nothing_to_do(source, destination, skipped=2)


@pytest.mark.slow
@pytest.mark.s3
@pytest.mark.parametrize(
    "call",
    [pytest.param(1, marks=pytest.mark.newest), 4],
    ids=["before the first upload is completed", "between two completed uploads"],
)
def test_a_driver_killed_while_it_publishes_to_a_bucket_is_finished_by_the_next(
    call: int, source: Path, drivers: Drivers, undisturbed: Path, moto: str, tmp_path: Path
) -> None:
    bucket = Bucket(moto, make_bucket(moto), tmp_path / "downloaded")
    bucket.upload(source)
    strike, order = Strike("publish", "-000001-", call), ("ingest", "--request", bucket.request(tmp_path))
    assert drivers.run(strike, *order, *IN_CHUNKS) == "killed", drivers.complaints()
    assert len(read_rows(bucket.download(), "files", "file_path")) == 1
    assert bucket.uploads()
    dead = job_of(bucket.ready().destination)

    again = run(bucket.ready())
    assert (again["summary"]["processed"], again["summary"]["skipped"]) == (0, 2)
    assert tables_of(bucket.download(), f"s3://{bucket.name}/in") == tables_of(undisturbed, source)
    assert bucket.uploads() == []
    status = read_status(bucket.ready().destination, dead)
    assert status
    assert status["status"] == "failed"


# Asleep


@pytest.fixture
def soon_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sleeps is taken for dead after a second, not after two minutes."""
    monkeypatch.setattr("al3spark.batch.acquire", functools.partial(acquire, stale_after_s=1.0))


SLEEPS = {
    "between two chunks": Strike("create_document", r"plan-000000\.done", what=STOP),
    "before its plan": Strike("create_document", r"plan-000001\.json", what=STOP),
    "between two publishes": Strike("publish", "-000001-", 4, STOP),
}


@pytest.mark.slow
@pytest.mark.usefixtures("soon_stale")
@pytest.mark.parametrize(
    "when", [pytest.param(each, marks=on_both_if(each == "between two chunks")) for each in SLEEPS]
)
def test_a_driver_that_slept_while_another_took_over_changes_nothing(
    when: str, source: Path, drivers: Drivers, destination: Path, undisturbed: Path
) -> None:
    ended = drivers.run(SLEEPS[when], "ingest", source, destination, *IN_CHUNKS)
    assert ended == "stopped", drivers.complaints()
    sleeper = job_of(destination)
    taker = ingest(source, destination)
    assert_whole(destination, undisturbed)
    assert_dead(destination, sleeper)

    assert drivers.wake() == "exit 1"
    (line,) = drivers.complaints()
    assert line.startswith(f"al3spark: {sleeper} was taken over by job {taker['job_id']} and ")
    assert_whole(destination, undisturbed)
    assert_dead(destination, sleeper)
    assert_nothing_to_do(source, destination, skipped=2)


# Disks that are full or read-only


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this user cannot mount a disk: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


@pytest.mark.newest
@pytest.mark.slow
def test_a_disk_that_tasks_fill_up_ends_a_run_in_one_line(disk: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"a.al3": sample_bytes(MIB, seed=1)})
    (disk / "_ballast").write_bytes(bytes(MIB - (128 << 10)))
    failed = al3spark("ingest", source, disk / "out", "--min-age-s", 0, "--master", "local[2]")
    assert (failed.returncode, failed.stdout) == (1, "")
    (line,) = (each for each in failed.stderr.splitlines() if not each.startswith(STEPS))
    job = job_of(disk / "out")
    assert line.startswith(f"al3spark: {disk}/out/_al3spark/staging/{job}/000000-")
    assert line.endswith(": No space left on device")
    assert (published_files(disk / "out"), staged_files(disk / "out")) == ([], [])
    assert_dead(disk / "out", job)

    remount(disk, "size=200m")
    ingest(source, disk / "out")
    ingest(source, tmp_path / "undisturbed")
    assert_whole(disk / "out", tmp_path / "undisturbed")


FILL = "dd if=/dev/zero of={}/_ballast bs=4096 2>/dev/null || true"
LOCK_UP = "until mount -o remount,ro {}; do sleep 0.01; done"  # not while any file is being written


@pytest.mark.slow
@pytest.mark.newest
@pytest.mark.parametrize(
    ("document", "committed"),
    [("plan-000001.json", ONE), ("plan-000001.verdict.json", ALL)],
    ids=["before the plan", "before the verdict"],
)
@pytest.mark.parametrize(
    ("what", "reason"),
    [(FILL, "No space left on device"), (LOCK_UP, "Read-only file system")],
    ids=["full", "read-only"],
)
def test_a_disk_that_refuses_the_driver_ends_a_run_in_one_line(
    what: str,
    reason: str,
    document: str,
    committed: list[int],
    source: Path,
    drivers: Drivers,
    disk: Path,
    undisturbed: Path,
) -> None:
    strike = Strike("create_document", document, what=what.format(disk))
    assert drivers.run(strike, "ingest", source, disk / "out", *IN_CHUNKS) == "exit 1"
    (line,) = drivers.complaints()
    assert line.startswith(f"al3spark: {disk}/out/_al3spark/")
    assert line.endswith(f": {reason}")
    assert policies(disk / "out") == committed

    remount(disk, "rw,size=200m")
    (disk / "_ballast").unlink(missing_ok=True)
    job = job_of(disk / "out")
    ingest(source, disk / "out")
    assert_whole(disk / "out", undisturbed)
    assert_dead(disk / "out", job)
    assert_nothing_to_do(source, disk / "out", skipped=2)


def test_a_disk_that_is_read_only_from_the_start_ends_a_run_in_one_line(source: Path, disk: Path) -> None:
    remount(disk, "ro")
    failed = al3spark("ingest", source, disk / "out", "--min-age-s", 0)
    assert (failed.returncode, failed.stdout) == (1, "")
    (line,) = failed.stderr.splitlines()
    assert line.startswith(f"al3spark: {disk}/out/_al3spark/probe")
    assert line.endswith(": Read-only file system")


# Terminated


@pytest.mark.slow
def test_whatever_fails_because_of_sigterm_is_told_as_cancelled(
    source: Path, drivers: Drivers, destination: Path
) -> None:
    """As when Java dies of the same signal, and a call to it finds nobody."""
    # Not at once: the thread that starts a process blocks signals meanwhile, and might take this one then.
    failing = "sleep 0.5; kill -TERM $PPID; sleep 1; false"
    strike = Strike("create_document", r"plan-000001\.json", what=failing)
    assert drivers.run(strike, "ingest", source, destination, *IN_CHUNKS) == "exit 143"
    assert drivers.complaints() == ["al3spark: interrupted; nothing half done is published"]
    status = read_status(open_place(str(destination)), job_of(destination))
    assert status
    assert (status["status"], bool(status["completed_at"])) == ("cancelled", True)
    assert (policies(destination), staged_files(destination)) == (ONE, [])


@pytest.mark.slow
def test_sigterm_to_spark_submit_cancels_the_job(tmp_path: Path) -> None:
    """Java is told as well: the driver sees its action fail, or finds nobody to talk to."""
    messages = sample_bytes(3_000_000, seed=1)
    files = {f"{number}.al3": messages.ljust(len(messages) + number) for number in range(1, 5)}
    source, destination = put(tmp_path / "in", {"0.al3": al3(1), **files}), tmp_path / "out"
    slowly = ("--window-kib", "4", "--split-mib", "3", "--min-age-s", "0")
    submit = [Path(sys.executable).parent / "spark-submit", "--master", "local[2]", ROOT / "jobs/ingest.py"]
    environment = {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    with subprocess.Popen(
        [*map(str, submit), str(source), str(destination), *slowly],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert any("%" in line for line in process.stdout), "it ended before it parsed"
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM

    job, due = job_of(destination), time.monotonic() + 60
    place = open_place(str(destination))
    while not (status := read_status(place, job) or {}).get("completed_at") and time.monotonic() < due:
        time.sleep(0.1)
    assert status["status"] == "cancelled"
    assert (published_files(destination), staged_files(destination)) == ([], [])
    assert ingest(source, destination, pattern="0.al3")["status"] == "completed"
