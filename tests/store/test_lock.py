import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from al3spark.errors import BatchError, StoreError
from al3spark.store.lock import Lock, acquire, is_gone, lock_name, this_process
from al3spark.store.places import Place
from al3spark.store.publish import Plan, Recovery, run_plan, write_plan
from al3spark.store.staging import StagedFile
from tests.store.steps import Steps

Fork = Callable[..., Any]  # see conftest.py

PLANNED = "t/ingest_date=2026-01-02/part-job-a-000000-0.parquet"
ORPHAN = "t/ingest_date=2026-01-02/part-job-a-000001-0.parquet"
TAKEN_OVER = "BatchError: job-a was taken over by job job-b"


def take(place: Place, job_id: str, stale_after_s: float = 10.0, heartbeat_s: float = 0.05) -> Lock:
    return acquire(place, job_id, stale_after_s, heartbeat_s)


def stage(place: Place, name: str, job_id: str) -> StagedFile:
    with place.stage(name, job_id, 0, 0) as writer:
        writer.write(b"rows")
        return writer.finish()


def move_owner_to_another_host(place: Place, epoch: int) -> None:
    document = json.loads(place.read(lock_name(epoch)) or b"")
    place.write_document(lock_name(epoch), json.dumps({**document, "host": "elsewhere"}).encode())


def test_first_owner(place: Place) -> None:
    with take(place, "job-a") as lock:
        assert (lock.epoch, lock.recovery, lock.taken_over, lock.lost) == (1, Recovery(), (), False)
        lock.check()
        document = json.loads(place.read("_al3spark/lock-000000000001.json") or b"")
        assert (document["job_id"], document["pid"]) == ("job-a", os.getpid())


def test_owner_that_is_alive_keeps_the_lock(place: Place) -> None:
    with (
        take(place, "job-a"),
        pytest.raises(BatchError, match=r"^job job-a holds the lock of the destination since 20"),
    ):
        take(place, "job-b")


def test_released_lock_is_free_at_once_and_old_documents_go(place: Place) -> None:
    take(place, "job-a").release()
    with take(place, "job-b", stale_after_s=1000) as lock:
        assert (lock.epoch, lock.taken_over) == (2, ())
        assert {name[15:28] for name in place.list_names("_al3spark/lock-")} == {"000000000002."}


def test_owner_who_was_killed_is_replaced_at_once(place: Place, fork: Fork) -> None:
    def die() -> None:
        take(place, "job-a")
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork(die).wait() == "killed"
    with take(place, "job-b", stale_after_s=1000) as lock:
        assert lock.taken_over == ("job-a",)


def test_owner_who_was_killed_is_replaced_before_its_parent_asked(place: Place, fork: Fork) -> None:
    child = fork(lambda: (take(place, "job-a"), time.sleep(60)))
    while not place.find(lock_name(1, ".heartbeat")):
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    with take(place, "job-b", stale_after_s=1000) as lock:
        assert lock.taken_over == ("job-a",)
    child.wait()


def test_plans_of_a_dead_owner_are_run_and_its_staged_files_discarded(place: Place, fork: Fork) -> None:
    def die() -> None:
        lock = take(place, "job-a")
        write_plan(place, Plan("job-a", 0, lock.epoch, (stage(place, PLANNED, "job-a"),)))
        stage(place, ORPHAN, "job-a")
        os.kill(os.getpid(), signal.SIGKILL)

    fork(die).wait()
    with take(place, "job-b") as lock:
        assert lock.recovery == Recovery(("job-a/plan-000000",), (), 1)
        assert [file.name for file in place.list_files()] == [PLANNED]
        with pytest.raises(BatchError, match="taken over"):
            write_plan(place, Plan("job-a", 1, 1, ()))


def test_owner_elsewhere_is_replaced_when_its_heartbeat_stands_still_by_my_clock(place: Place) -> None:
    take(place, "job-a").release()
    move_owner_to_another_host(place, 1)
    place.remove(lock_name(1, ".released"))
    seconds = [0.0]
    lock = acquire(
        place,
        "job-b",
        90.0,
        10.0,
        clock=lambda: seconds[0],
        sleep=lambda s: seconds.append(seconds.pop() + s),
    )
    lock.release()
    assert lock.taken_over == ("job-a",)
    assert 90.0 <= seconds[0] < 92.0


def test_owner_elsewhere_whose_heartbeat_moves_keeps_the_lock(place: Place) -> None:
    with take(place, "job-a"):
        move_owner_to_another_host(place, 1)
        with pytest.raises(BatchError, match="on elsewhere"):
            take(place, "job-b")


def test_owner_that_releases_while_somebody_waits_lets_him_in(place: Place) -> None:
    lock = take(place, "job-a", heartbeat_s=1000)

    def wait(seconds: float) -> None:
        lock.release()

    acquire(place, "job-b", 1000.0, 0.05, sleep=wait).release()


def test_sleeper_is_taken_over_and_ends_with_one_line(place: Place, fork: Fork) -> None:
    def sleep_before_the_plan() -> None:
        with take(place, "job-a") as lock:
            plan = Plan("job-a", 0, lock.epoch, (stage(place, "t/late", "job-a"),))
            os.kill(os.getpid(), signal.SIGSTOP)
            write_plan(place, plan)

    sleeper = fork(sleep_before_the_plan)
    assert sleeper.wait_until_stopped()
    with take(place, "job-b", stale_after_s=0.2) as lock:
        assert lock.taken_over == ("job-a",)
        sleeper.wake()
        assert sleeper.wait() == f"{TAKEN_OVER} and publishes nothing more"
    assert list(place.list_files()) == []


def test_sleeper_notices_by_itself_that_it_was_taken_over(place: Place, fork: Fork) -> None:
    def sleep_and_look() -> None:
        with take(place, "job-a") as lock:
            os.kill(os.getpid(), signal.SIGSTOP)
            while not lock.lost:
                time.sleep(0.01)
            lock.check()

    sleeper = fork(sleep_and_look)
    assert sleeper.wait_until_stopped()
    with take(place, "job-b", stale_after_s=0.2):
        sleeper.wake()
        assert sleeper.wait() == f"{TAKEN_OVER} and stops here"


def test_sleeper_between_two_publishes_finds_its_plan_finished(place: Place, fork: Fork) -> None:
    def publish() -> str:
        with take(place, "job-a", heartbeat_s=1000) as lock:
            plan = Plan("job-a", 0, lock.epoch, (stage(place, "t/1", "job-a"), stage(place, "t/2", "job-a")))
            write_plan(place, plan)
            place.publish(plan.publish[0])
            os.kill(os.getpid(), signal.SIGSTOP)
            outcome = run_plan(place, plan)
            lock.check()
            return outcome

    sleeper = fork(publish)
    assert sleeper.wait_until_stopped()
    with take(place, "job-b", stale_after_s=0.2):
        place.remove("t/1")  # as a later plan might
        sleeper.wake()
        assert sleeper.wait() == f"{TAKEN_OVER} and stops here"
        assert [file.name for file in place.list_files()] == ["t/2"]


def test_of_two_that_come_at_once_one_gets_the_lock(place: Place, fork: Fork) -> None:
    def try_it(job_id: str) -> str:
        try:
            with take(place, job_id):
                while not place.find("refused"):
                    time.sleep(0.01)
        except BatchError:
            place.write_document("refused", b"")
            raise
        return "owned"

    first, second = fork(lambda: try_it("job-a")), fork(lambda: try_it("job-b"))
    ends = sorted([first.wait(), second.wait()])
    assert ends[0].startswith("BatchError: job job-")
    assert ends[1] == "owned"


def test_epoch_that_was_cleaned_up_meanwhile_is_not_owned(place: Place, kind: str, fork: Fork) -> None:
    before_lock_1 = {"disk": 3, "s3": 0}[kind]
    slow = fork(lambda: take(place, "job-a"), stop_at=before_lock_1)
    assert slow.wait_until_stopped()
    take(place, "job-b").release()
    with take(place, "job-c") as lock:
        assert lock.epoch == 2
        assert place.find(lock_name(1)) is None
        slow.wake()
        assert slow.wait().startswith("BatchError: job job-c holds the lock")
        assert place.find(lock_name(1)) is None
        lock.check()


@Steps(range(36), range(16)).each
def test_owner_killed_at_any_step_of_taking_over_is_taken_over(place: Place, fork: Fork, step: int) -> None:
    def die_with_a_plan() -> None:
        lock = take(place, "job-a", heartbeat_s=1000)
        write_plan(place, Plan("job-a", 0, lock.epoch, (stage(place, PLANNED, "job-a"),)))
        stage(place, ORPHAN, "job-a")
        os.kill(os.getpid(), signal.SIGKILL)

    fork(die_with_a_plan).wait()
    fork(
        lambda: take(place, "job-b", heartbeat_s=1000), kill_at=step
    ).wait()  # ends without release where not killed
    with take(place, "job-c", stale_after_s=1000) as lock:
        lock.check()
        assert [file.name for file in place.list_files()] == [PLANNED]
        assert [job for job in place.staged_jobs() if job != "documents"] == []
        with pytest.raises(BatchError, match="taken over"):
            write_plan(place, Plan("job-a", 1, 1, ()))


def test_lock_is_released_when_recovery_fails(place: Place, tmp_path: Path) -> None:
    place.write_document("_al3spark/jobs/job-z/plan-000000.json", b"{")
    with pytest.raises(StoreError, match="not JSON"):
        take(place, "job-a")
    place.remove("_al3spark/jobs/job-z/plan-000000.json")
    take(place, "job-b", stale_after_s=1000).release()


def test_process_that_runs_is_not_gone() -> None:
    assert is_gone(this_process()) is False


def test_process_id_that_was_given_to_another_process_is_gone() -> None:
    assert is_gone({**this_process(), "started": "1"}) is True


@pytest.mark.parametrize("key", ["host", "boot", "pid_namespace"])
def test_of_another_host_nobody_can_tell(key: str) -> None:
    assert is_gone({**this_process(), "started": "1", key: "other"}) is False


def test_of_an_unknown_process_nobody_can_tell() -> None:
    assert is_gone({}) is False
