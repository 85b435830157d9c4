"""A store that ignores conditions, cannot list or abort uploads, and says 500 to a second completion."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from al3spark.store.calls import Access
from al3spark.store.places import Place, open_place
from al3spark.store.publish import Plan, Recovery, recover, run_plan, write_plan
from al3spark.store.retrying import RetryPlan
from tests.servers import make_bucket
from tests.store.test_publish import OLD, ingest, make_plan, published_by, tables, with_tables

pytestmark = pytest.mark.s3

KILLS = 13  # changes that `ingest` makes


@pytest.fixture
def place(other_server: str) -> Place:
    access = Access(endpoint_url=other_server, retry=RetryPlan(4, 0.01))
    return with_tables(open_place(f"s3://{make_bucket(other_server)}/lake/", access))


def test_it_is_such_a_store(place: Place) -> None:
    assert [place.create_document("a", data) for data in (b"1", b"2")] == [True, True]
    plan = make_plan(place)
    assert place.staged_jobs() == ()
    place.discard(plan.publish[0])
    assert place.publish(plan.publish[0])


def test_a_plan_is_published_and_run_again_without_effect(place: Place) -> None:
    plan = make_plan(place)
    assert tables(place) == OLD
    write_plan(place, plan)
    assert [run_plan(place, plan), run_plan(place, plan)] == ["published", "published"]
    assert tables(place) == published_by("job-a")


def test_a_plan_whose_file_is_lost_is_rolled_back(place: Place) -> None:
    plan = make_plan(place)
    lost, *rest = plan.publish
    gone = replace(lost, token=lost.token.replace('"upload": "', '"upload": "0'))
    plan = Plan("job-a", 0, 1, (gone, *rest), tuple(OLD))
    write_plan(place, plan)
    assert run_plan(place, plan) == "rolled_back"
    assert tables(place) == OLD


@pytest.mark.parametrize("step", range(KILLS))
def test_a_batch_killed_at_any_step_is_there_or_not_there(
    place: Place, fork: Callable[..., Any], step: int
) -> None:
    assert fork(lambda: ingest(place), kill_at=step).wait() == "killed"
    planned = place.find("_al3spark/jobs/job-a/plan-000000.json") is not None
    recover(place, keep="job-b")
    assert tables(place) == (published_by("job-a") if planned else OLD)
    ingest(place, "job-b")
    assert tables(place) == published_by("job-a" if planned else "job-b")
    assert recover(place, keep="job-b") == Recovery()


def test_the_kills_are_all(place: Place, fork: Callable[..., Any]) -> None:
    assert fork(lambda: ingest(place), kill_at=KILLS).wait() == "published"
