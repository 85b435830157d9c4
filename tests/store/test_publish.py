import re
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
from tests.store.steps import Steps

Fork = Callable[..., Any]  # see conftest.py

OLD = {"policies/part-old-0.parquet": b"old policies"}
NEW = {
    "policies/ingest_date=2026-01-02/part-{job}-000000-0.parquet": b"policies",
    "vehicles/ingest_date=2026-01-02/part-{job}-000000-0.parquet": b"vehicles, a little longer",
    "files/ingest_date=2026-01-02/part-{job}-000000-0.parquet": b"ledger",
}
OTHER = "policies/ingest_date=2026-01-02/part-{job}-000007-0.parquet"


def stage(place: Place, name: str, data: bytes, job_id: str = "job-a") -> StagedFile:
    with place.stage(name, job_id, 0, 0) as writer:
        writer.write(data)
        return writer.finish()


def make_plan(place: Place, job_id: str = "job-a", number: int = 0) -> Plan:
    staged = tuple(stage(place, name.format(job=job_id), data, job_id) for name, data in NEW.items())
    return Plan(job_id, number, 1, staged, tuple(OLD))


def ingest(place: Place, job_id: str = "job-a") -> str:
    """What a batch does: replace the old policies, unless that has been published by another job."""
    if list(place.list_names("files/")):
        return "nothing to do"
    plan = make_plan(place, job_id)
    write_plan(place, plan)
    return run_plan(place, plan, workers=1)


def tables(place: Place) -> dict[str, bytes]:
    return {file.name: place.read(file.name) or b"" for file in place.list_files()}


def published_by(job_id: str) -> dict[str, bytes]:
    return {name.format(job=job_id): data for name, data in sorted(NEW.items())}


def leftovers(place: Place) -> list[str]:
    """Jobs that have staged files, or open uploads; our temporary documents do not count."""
    if place.uri("").startswith("s3:"):
        return list(place.staged_jobs())
    jobs = {name.split("/")[2] for name in place.list_names("_al3spark/staging/")}
    return sorted(jobs - {"documents"})


@pytest.fixture
def place(place: Place) -> Place:
    """A place with tables, on a disk and in a bucket."""
    return with_tables(place)


def with_tables(place: Place) -> Place:
    for name, data in OLD.items():
        place.write_document(name, data)
    return place


# How a sleeper ends that was taken over; or it notices before, where it goes on with an upload that is gone.
TOLD_OF_IT = (
    r"BatchError: job-a was taken over by job job-b and publishes nothing more"
    r"|StoreError: s3://.*\.parquet: (NoSuchUpload|500): .*"
)


def test_plan_publishes_and_removes(place: Place) -> None:
    assert ingest(place) == "published"
    assert tables(place) == published_by("job-a")
    assert leftovers(place) == []


def test_plan_that_was_run_is_run_again_without_effect(place: Place) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    assert [run_plan(place, plan), run_plan(place, plan)] == ["published", "published"]
    assert tables(place) == published_by("job-a")


def test_plan_survives_its_document(place: Place) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    assert read_plan(place, "job-a", 0) == plan


def test_nothing_is_visible_before_the_plan_is_run(place: Place) -> None:
    write_plan(place, make_plan(place))
    assert tables(place) == OLD


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


def test_lost_staged_file_rolls_the_plan_back(place: Place) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    place.discard(plan.publish[1])
    assert run_plan(place, plan) == "rolled_back"
    assert tables(place) == OLD
    assert leftovers(place) == []


def test_truncated_staged_file_rolls_the_plan_back(tmp_path: Path) -> None:
    place = with_tables(open_place(str(tmp_path)))
    plan = make_plan(place)
    write_plan(place, plan)
    (tmp_path / plan.publish[0].token).write_bytes(b"pol")
    assert run_plan(place, plan) == "rolled_back"
    assert tables(place) == OLD


def test_rolled_back_chunk_is_published_by_the_next_plan(place: Place) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    place.discard(plan.publish[1])
    run_plan(place, plan)
    again = Plan("job-a", 1, 1, (stage(place, "policies/part-job-a-1.parquet", b"new"),))
    write_plan(place, again)
    assert run_plan(place, again) == "published"
    assert tables(place) == {**OLD, "policies/part-job-a-1.parquet": b"new"}


def test_published_file_that_was_removed_later_does_not_undo_its_plan(place: Place) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    run_plan(place, plan)
    place.remove("policies/ingest_date=2026-01-02/part-job-a-000000-0.parquet")
    assert run_plan(place, plan) == "published"
    assert "vehicles/ingest_date=2026-01-02/part-job-a-000000-0.parquet" in tables(place)


def test_aborted_job_cannot_write_a_plan(place: Place) -> None:
    plan = make_plan(place)
    abort_job(place, "job-a", by="job-b", epoch=2)
    with pytest.raises(BatchError, match=r"^job-a was taken over by job job-b and publishes nothing more$"):
        write_plan(place, plan)
    assert tables(place) == OLD


def test_tombstone_stands_after_the_last_plan_and_only_once(place: Place) -> None:
    write_plan(place, Plan("job-a", 0, 1, ()))
    abort_job(place, "job-a", by="job-b", epoch=2)
    abort_job(place, "job-a", by="job-c", epoch=3)
    assert read_plan(place, "job-a", 1) == Tombstone("job-a", 1, 2, "job-b")
    assert read_plan(place, "job-a", 2) is None


def test_recovery_runs_open_plans_and_discards_the_rest(place: Place) -> None:
    write_plan(place, make_plan(place, "job-a"))
    stage(place, OTHER.format(job="job-b"), b"never", "job-b")
    stage(place, OTHER.format(job="job-c"), b"mine", "job-c")
    assert recover(place, keep="job-c") == Recovery(("job-a/plan-000000",), (), 1)
    assert tables(place) == published_by("job-a")
    assert leftovers(place) == ["job-c"]


def test_recovery_tells_what_it_rolled_back(place: Place) -> None:
    plan = make_plan(place)
    write_plan(place, plan)
    place.discard(plan.publish[0])
    assert recover(place, keep="job-b") == Recovery((), ("job-a/plan-000000",), 0)


def test_recovery_of_nothing_does_nothing(place: Place) -> None:
    assert recover(place, keep="job-b") == Recovery()


def test_job_that_ends_early_finishes_its_plan_and_discards_the_rest(place: Place) -> None:
    write_plan(place, make_plan(place, "job-a"))
    stage(place, OTHER.format(job="job-a"), b"next", "job-a")
    stage(place, OTHER.format(job="job-b"), b"other", "job-b")
    assert settle_job(place, "job-a") == Recovery(("job-a/plan-000000",), (), 1)
    assert tables(place) == published_by("job-a")
    assert leftovers(place) == ["job-b"]


def test_damaged_plan_is_one_line_that_names_it(place: Place) -> None:
    place.write_document("_al3spark/jobs/job-a/plan-000000.json", b'{"publish": [{}]}')
    with pytest.raises(StoreError, match=r"plan-000000\.json: not a plan") as caught:
        recover(place, keep="job-b")
    assert "\n" not in str(caught.value)


def test_plan_that_was_begun_but_never_filled_counts_as_aborted(place: Place) -> None:
    place.write_document("_al3spark/jobs/job-a/plan-000000.json", b"")
    assert recover(place, keep="job-b") == Recovery()
    with pytest.raises(BatchError, match="taken over"):
        write_plan(place, Plan("job-a", 0, 1, ()))


INGEST = Steps(range(25), range(13))
PLANNED = Steps(range(8, 24), range(7, 12))  # after the plan was written and before it is done


def test_matrix_of_kills_has_every_step(place: Place, kind: str, fork: Fork) -> None:
    assert fork(lambda: ingest(place), kill_at=INGEST.ends[kind]).wait() == "published"


@INGEST.each
def test_batch_killed_at_any_step_is_there_or_not_there(place: Place, fork: Fork, step: int) -> None:
    assert fork(lambda: ingest(place), kill_at=step).wait() == "killed"
    planned = place.find("_al3spark/jobs/job-a/plan-000000.json") is not None
    recover(place, keep="job-b")
    assert tables(place) == (published_by("job-a") if planned else OLD)
    assert leftovers(place) == []
    ingest(place, "job-b")
    assert tables(place) == published_by("job-a" if planned else "job-b")
    assert recover(place, keep="job-b") == Recovery()


@INGEST.each
def test_batch_that_sleeps_at_any_step_changes_nothing_when_it_wakes_up(
    place: Place, kind: str, fork: Fork, step: int
) -> None:
    sleeper = fork(lambda: ingest(place), stop_at=step)
    assert sleeper.wait_until_stopped()
    abort_job(place, "job-a", by="job-b", epoch=2)
    recover(place, keep="job-b")
    ingest(place, "job-b")
    after = tables(place)
    assert after in (published_by("job-a"), published_by("job-b"))
    sleeper.wake()
    told = sleeper.wait()
    if after == published_by("job-a"):
        assert told in ("published", "nothing to do")
    else:
        assert re.fullmatch(TOLD_OF_IT, told)
    assert tables(place) == after
    recover(place, keep="job-b")
    assert leftovers(place) == []


def plan_something(place: Place, lost: bool) -> None:
    """Where a batch was killed after it had written its plan; `lost`: and somebody removed a staged file."""
    plan = make_plan(place)
    write_plan(place, plan)
    stage(place, OTHER.format(job="job-a"), b"of a retried task")
    if lost:
        place.discard(plan.publish[0])


def recover_slowly(place: Place) -> Recovery:
    return recover(place, keep="job-b", workers=1)


FORWARD = Steps(range(22), range(7))  # while a plan is rolled forward
BACK = Steps(range(27), range(11))  # and back
BACK_BEFORE_END = Steps(range(23), range(10))  # of `recover` where the publisher sleeps


@pytest.mark.parametrize(("lost", "steps"), [(False, FORWARD), (True, BACK)])
def test_matrix_of_recoveries_has_every_step(
    place: Place, fork: Fork, lost: bool, kind: str, steps: Steps
) -> None:
    plan_something(place, lost)
    assert fork(lambda: recover_slowly(place), kill_at=steps.ends[kind]).wait().startswith("Recovery(")


@FORWARD.each
def test_recovery_killed_at_any_step_is_finished_by_the_next(place: Place, fork: Fork, step: int) -> None:
    plan_something(place, lost=False)
    assert fork(lambda: recover_slowly(place), kill_at=step).wait() == "killed"
    recover_slowly(place)
    assert tables(place) == published_by("job-a")
    assert leftovers(place) == []


@BACK.each
def test_roll_back_killed_at_any_step_is_finished_by_the_next(place: Place, fork: Fork, step: int) -> None:
    plan_something(place, lost=True)
    assert fork(lambda: recover_slowly(place), kill_at=step).wait() == "killed"
    recover_slowly(place)
    assert tables(place) == OLD
    assert leftovers(place) == []


@BACK.each
def test_sleeping_roll_back_does_not_touch_what_came_after(place: Place, fork: Fork, step: int) -> None:
    plan_something(place, lost=True)
    sleeper = fork(lambda: recover_slowly(place), stop_at=step)
    assert sleeper.wait_until_stopped()
    recover_slowly(place)
    ingest(place, "job-c")
    sleeper.wake()
    assert sleeper.wait().startswith("Recovery(")
    assert tables(place) == published_by("job-c")


LAST_FILE = {"disk": 16, "s3": 9}  # the step of `ingest` that shows the ledger, its last file


@BACK_BEFORE_END.each
def test_roll_back_leaves_nothing_to_a_publisher_who_wakes_up_meanwhile(
    place: Place, kind: str, fork: Fork, step: int
) -> None:
    publisher = fork(lambda: ingest(place), stop_at=LAST_FILE[kind], kill_at=LAST_FILE[kind] + 1)
    assert publisher.wait_until_stopped()
    place.remove("vehicles/ingest_date=2026-01-02/part-job-a-000000-0.parquet")
    recovery = fork(lambda: recover_slowly(place), stop_at=step)
    assert recovery.wait_until_stopped()
    assert "files/ingest_date=2026-01-02/part-job-a-000000-0.parquet" not in tables(place)
    publisher.wake()
    assert publisher.wait() == "killed"
    recovery.wake()
    assert recovery.wait().startswith("Recovery(")
    assert tables(place) == OLD


@PLANNED.each
def test_publisher_who_wakes_up_does_not_undo_what_a_later_plan_replaced(
    place: Place, kind: str, fork: Fork, step: int
) -> None:
    publisher = fork(lambda: ingest(place), stop_at=step)
    assert publisher.wait_until_stopped()
    assert recover(place, keep="job-b").published == ("job-a/plan-000000",)
    later = Plan("job-b", 0, 2, (), ("policies/ingest_date=2026-01-02/part-job-a-000000-0.parquet",))
    write_plan(place, later)
    run_plan(place, later)
    publisher.wake()
    assert publisher.wait() == "published"
    assert list(tables(place)) == [
        "files/ingest_date=2026-01-02/part-job-a-000000-0.parquet",
        "vehicles/ingest_date=2026-01-02/part-job-a-000000-0.parquet",
    ]


@INGEST.each
def test_reader_never_sees_committed_rows_without_their_data(place: Place, fork: Fork, step: int) -> None:
    fork(lambda: ingest(place), kill_at=step).wait()
    seen = tables(place)
    if "files/ingest_date=2026-01-02/part-job-a-000000-0.parquet" in seen:
        assert seen.items() >= published_by("job-a").items()


def test_two_processes_run_the_same_plan_to_the_same_end(place: Place, fork: Fork) -> None:
    plan_something(place, lost=False)
    first, second = fork(lambda: recover_slowly(place)), fork(lambda: recover_slowly(place))
    assert first.wait().startswith("Recovery(")
    assert second.wait().startswith("Recovery(")
    assert tables(place) == published_by("job-a")
