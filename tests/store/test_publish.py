from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from al3spark.errors import BatchError, StoreError
from al3spark.store.places import Place, open_place
from al3spark.store.publish import (
    Plan,
    Recovery,
    Tombstone,
    abort_job,
    read_plan,
    recover,
    run_plan,
    settle_job,
    write_plan,
)
from al3spark.store.staging import StagedFile

Fork = Callable[..., Any]  # see conftest.py

OLD = {"policies/part-old-0.parquet": b"old policies"}
NEW = {
    "policies/day=1/part-{job}-0.parquet": b"policies",
    "vehicles/day=1/part-{job}-0.parquet": b"vehicles, a little longer",
    "files/day=1/part-{job}-0.parquet": b"ledger",
}


def stage(place: Place, name: str, data: bytes, job_id: str = "job-a") -> StagedFile:
    with place.stage(name, job_id, 0, 0) as writer:
        writer.write(data)
        return writer.finish()


def make_plan(place: Place, job_id: str = "job-a", number: int = 0) -> Plan:
    staged = tuple(stage(place, name.format(job=job_id), data, job_id) for name, data in NEW.items())
    return Plan(job_id, number, 1, staged, tuple(OLD))


def ingest(root: Path, job_id: str = "job-a") -> str:
    """What a batch does: replace the old policies, unless that has been published by another job."""
    place = open_place(str(root))
    if list(place.list_names("files/")):
        return "nothing to do"
    plan = make_plan(place, job_id)
    write_plan(place, plan)
    return run_plan(place, plan, workers=1)


def tables(root: Path) -> dict[str, bytes]:
    place = open_place(str(root))
    return {file.name: (root / file.name).read_bytes() for file in place.list_files()}


def published_by(job_id: str) -> dict[str, bytes]:
    return {name.format(job=job_id): data for name, data in sorted(NEW.items())}


def leftovers(root: Path) -> list[str]:
    return [str(path) for path in root.glob("_al3spark/staging/**/*") if path.is_file()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, data in OLD.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.fixture
def place(root: Path) -> Place:
    return open_place(str(root))


def test_plan_publishes_and_removes(root: Path) -> None:
    assert ingest(root) == "published"
    assert tables(root) == published_by("job-a")
    assert leftovers(root) == []


def test_plan_that_was_run_is_run_again_without_effect(place: Place, root: Path) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    assert [run_plan(place, plan), run_plan(place, plan)] == ["published", "published"]
    assert tables(root) == published_by("job-a")


def test_plan_survives_its_document(place: Place) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    assert read_plan(place, "job-a", 0) == plan


def test_nothing_is_visible_before_the_plan_is_run(place: Place, root: Path) -> None:
    write_plan(place, make_plan(place))
    assert tables(root) == OLD


def test_writing_the_same_plan_twice_is_one_plan(place: Place) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    write_plan(place, plan)


def test_second_plan_of_the_same_number_is_refused(place: Place) -> None:
    write_plan(place, Plan("job-a", 0, 1, (), ()))
    with pytest.raises(BatchError, match=r"plan-000000\.json: exists already"):
        write_plan(place, Plan("job-a", 0, 1, (), ("x",)))


def test_plan_numbers_have_no_gaps(place: Place) -> None:
    with pytest.raises(ValueError, match="no plan 0 before plan 1"):
        write_plan(place, Plan("job-a", 1, 1, ()))


def test_two_staged_files_of_one_name_are_no_plan(place: Place) -> None:
    staged = (stage(place, "t/x", b"1"), stage(place, "t/x", b"1"))
    with pytest.raises(ValueError, match="occurs twice"):
        Plan("job-a", 0, 1, staged)


def test_lost_staged_file_rolls_the_plan_back(place: Place, root: Path) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    (root / plan.publish[1].token).unlink()
    assert run_plan(place, plan) == "rolled_back"
    assert tables(root) == OLD
    assert leftovers(root) == []


def test_truncated_staged_file_rolls_the_plan_back(place: Place, root: Path) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    (root / plan.publish[0].token).write_bytes(b"pol")
    assert run_plan(place, plan) == "rolled_back"
    assert tables(root) == OLD


def test_rolled_back_chunk_is_published_by_the_next_plan(place: Place, root: Path) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    (root / plan.publish[1].token).unlink()
    run_plan(place, plan)
    again = Plan("job-a", 1, 1, (stage(place, "policies/part-job-a-1.parquet", b"new"),))
    write_plan(place, again)
    assert run_plan(place, again) == "published"
    assert tables(root) == {**OLD, "policies/part-job-a-1.parquet": b"new"}


def test_published_file_that_was_removed_later_does_not_undo_its_plan(place: Place, root: Path) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    run_plan(place, plan)
    place.remove("policies/day=1/part-job-a-0.parquet")
    assert run_plan(place, plan) == "published"
    assert "vehicles/day=1/part-job-a-0.parquet" in tables(root)


def test_aborted_job_cannot_write_a_plan(place: Place, root: Path) -> None:
    plan = make_plan(place)
    abort_job(place, "job-a", by="job-b", epoch=2)
    with pytest.raises(BatchError, match=r"^job-a was taken over by job job-b and publishes nothing more$"):
        write_plan(place, plan)
    assert tables(root) == OLD


def test_tombstone_stands_after_the_last_plan_and_only_once(place: Place) -> None:
    write_plan(place, Plan("job-a", 0, 1, ()))
    abort_job(place, "job-a", by="job-b", epoch=2)
    abort_job(place, "job-a", by="job-c", epoch=3)
    assert read_plan(place, "job-a", 1) == Tombstone("job-a", 1, 2, "job-b")
    assert read_plan(place, "job-a", 2) is None


def test_recovery_runs_open_plans_and_discards_the_rest(place: Place, root: Path) -> None:
    write_plan(place, make_plan(place, "job-a"))
    stage(place, "policies/never.parquet", b"never", "job-b")
    stage(place, "policies/mine.parquet", b"mine", "job-c")
    assert recover(place, keep="job-c") == Recovery(("job-a/plan-000000",), (), 1)
    assert tables(root) == published_by("job-a")
    assert [Path(name).parent.name for name in leftovers(root)] == ["job-c"]


def test_recovery_tells_what_it_rolled_back(place: Place, root: Path) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    (root / plan.publish[0].token).unlink()
    assert recover(place, keep="job-b") == Recovery((), ("job-a/plan-000000",), 0)


def test_recovery_of_nothing_does_nothing(place: Place) -> None:
    assert recover(place, keep="job-b") == Recovery()


def test_job_that_ends_early_finishes_its_plan_and_discards_the_rest(place: Place, root: Path) -> None:
    write_plan(place, make_plan(place, "job-a"))
    stage(place, "policies/next-chunk.parquet", b"next", "job-a")
    stage(place, "policies/other.parquet", b"other", "job-b")
    assert settle_job(place, "job-a") == Recovery(("job-a/plan-000000",), (), 1)
    assert tables(root) == published_by("job-a")
    assert place.staged_jobs() == ("documents", "job-b")


def test_damaged_plan_is_one_line_that_names_it(place: Place, root: Path) -> None:
    place.write_document("_al3spark/jobs/job-a/plan-000000.json", b'{"publish": [{}]}')
    with pytest.raises(StoreError, match=r"plan-000000\.json: not a plan") as caught:
        recover(place, keep="job-b")
    assert "\n" not in str(caught.value)


def test_plan_that_was_begun_but_never_filled_counts_as_aborted(place: Place, root: Path) -> None:
    name = root / "_al3spark/jobs/job-a/plan-000000.json"
    name.parent.mkdir(parents=True)
    name.touch()
    assert recover(place, keep="job-b") == Recovery()
    with pytest.raises(BatchError, match="taken over"):
        write_plan(place, Plan("job-a", 0, 1, ()))


INGEST_STEPS = range(28)  # changes of the disk in `ingest`
PLANNED_STEPS = range(11, 27)  # those after the plan was written and before it is done


def test_matrix_of_kills_has_every_step(root: Path, fork: Fork) -> None:
    assert fork(lambda: ingest(root), kill_at=len(INGEST_STEPS)).wait() == "published"


@pytest.mark.parametrize("step", INGEST_STEPS)
def test_batch_killed_at_any_step_is_there_or_not_there(root: Path, fork: Fork, step: int) -> None:
    assert fork(lambda: ingest(root), kill_at=step).wait() == "killed"
    planned = (root / "_al3spark/jobs/job-a/plan-000000.json").exists()
    recover(open_place(str(root)), keep="job-b")
    assert tables(root) == (published_by("job-a") if planned else OLD)
    assert leftovers(root) == []
    ingest(root, "job-b")
    assert tables(root) == published_by("job-a" if planned else "job-b")
    assert recover(open_place(str(root)), keep="job-b") == Recovery()


@pytest.mark.parametrize("step", INGEST_STEPS)
def test_batch_that_sleeps_at_any_step_changes_nothing_when_it_wakes_up(
    root: Path, fork: Fork, step: int
) -> None:
    place = open_place(str(root))
    sleeper = fork(lambda: ingest(root), stop_at=step)
    assert sleeper.wait_until_stopped()
    abort_job(place, "job-a", by="job-b", epoch=2)
    recover(place, keep="job-b")
    ingest(root, "job-b")
    after = tables(root)
    assert after in (published_by("job-a"), published_by("job-b"))
    sleeper.wake()
    told = sleeper.wait()
    if after == published_by("job-a"):
        assert told in ("published", "nothing to do")
    else:
        assert told == "BatchError: job-a was taken over by job job-b and publishes nothing more"
    assert tables(root) == after
    recover(place, keep="job-b")
    assert leftovers(root) == []


def plan_something(root: Path, lost: bool) -> None:
    """Where a batch was killed after it had written its plan; `lost`: and somebody removed a staged file."""
    place = open_place(str(root))
    plan = make_plan(place)
    write_plan(place, plan)
    stage(place, "policies/orphan.parquet", b"of a retried task")
    if lost:
        (root / plan.publish[0].token).unlink()


def recover_slowly(root: Path) -> Recovery:
    return recover(open_place(str(root)), keep="job-b", workers=1)


FORWARD_STEPS = range(22)  # changes of the disk while a plan is rolled forward
BACK_STEPS = range(27)  # and back


@pytest.mark.parametrize(("lost", "steps"), [(False, FORWARD_STEPS), (True, BACK_STEPS)])
def test_matrix_of_recoveries_has_every_step(root: Path, fork: Fork, lost: bool, steps: range) -> None:
    plan_something(root, lost)
    assert fork(lambda: recover_slowly(root), kill_at=len(steps)).wait().startswith("Recovery(")


@pytest.mark.parametrize("step", FORWARD_STEPS)
def test_recovery_killed_at_any_step_is_finished_by_the_next(root: Path, fork: Fork, step: int) -> None:
    plan_something(root, lost=False)
    assert fork(lambda: recover_slowly(root), kill_at=step).wait() == "killed"
    recover_slowly(root)
    assert tables(root) == published_by("job-a")
    assert leftovers(root) == []


@pytest.mark.parametrize("step", BACK_STEPS)
def test_roll_back_killed_at_any_step_is_finished_by_the_next(root: Path, fork: Fork, step: int) -> None:
    plan_something(root, lost=True)
    assert fork(lambda: recover_slowly(root), kill_at=step).wait() == "killed"
    recover_slowly(root)
    assert tables(root) == OLD
    assert leftovers(root) == []


@pytest.mark.parametrize("step", BACK_STEPS)
def test_sleeping_roll_back_does_not_touch_what_came_after(root: Path, fork: Fork, step: int) -> None:
    plan_something(root, lost=True)
    sleeper = fork(lambda: recover_slowly(root), stop_at=step)
    assert sleeper.wait_until_stopped()
    recover_slowly(root)
    ingest(root, "job-c")
    sleeper.wake()
    assert sleeper.wait().startswith("Recovery(")
    assert tables(root) == published_by("job-c")


@pytest.mark.parametrize("step", range(23))
def test_roll_back_leaves_nothing_to_a_publisher_who_wakes_up_meanwhile(
    root: Path, fork: Fork, step: int
) -> None:
    publisher = fork(lambda: ingest(root), stop_at=19, kill_at=20)  # about to show the ledger, its last file
    assert publisher.wait_until_stopped()
    (root / "vehicles/day=1/part-job-a-0.parquet").unlink()
    recovery = fork(lambda: recover_slowly(root), stop_at=step)
    assert recovery.wait_until_stopped()
    assert "files/day=1/part-job-a-0.parquet" not in tables(root)
    publisher.wake()
    assert publisher.wait() == "killed"
    recovery.wake()
    assert recovery.wait().startswith("Recovery(")
    assert tables(root) == OLD


@pytest.mark.parametrize("step", PLANNED_STEPS)
def test_publisher_who_wakes_up_does_not_undo_what_a_later_plan_replaced(
    root: Path, fork: Fork, step: int
) -> None:
    place = open_place(str(root))
    publisher = fork(lambda: ingest(root), stop_at=step)
    assert publisher.wait_until_stopped()
    assert recover(place, keep="job-b").published == ("job-a/plan-000000",)
    later = Plan("job-b", 0, 2, (), ("policies/day=1/part-job-a-0.parquet",))
    write_plan(place, later)
    run_plan(place, later)
    publisher.wake()
    assert publisher.wait() == "published"
    assert list(tables(root)) == ["files/day=1/part-job-a-0.parquet", "vehicles/day=1/part-job-a-0.parquet"]


@pytest.mark.parametrize("step", INGEST_STEPS)
def test_reader_never_sees_committed_rows_without_their_data(root: Path, fork: Fork, step: int) -> None:
    fork(lambda: ingest(root), kill_at=step).wait()
    seen = tables(root)
    if "files/day=1/part-job-a-0.parquet" in seen:
        assert seen.items() >= published_by("job-a").items()


def test_two_processes_run_the_same_plan_to_the_same_end(root: Path, fork: Fork) -> None:
    plan_something(root, lost=False)
    first, second = fork(lambda: recover_slowly(root)), fork(lambda: recover_slowly(root))
    assert first.wait().startswith("Recovery(")
    assert second.wait().startswith("Recovery(")
    assert tables(root) == published_by("job-a")
