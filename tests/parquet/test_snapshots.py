"""The data files that count at one moment, while plans take their steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from al3spark.errors import BatchError
from al3spark.parquet.snapshots import list_files_of_a_moment
from al3spark.store.naming import StoredFile
from al3spark.store.places import Place
from al3spark.store.publish import Plan, plan_name, run_plan, write_plan
from tests.tables import DAY, A, B, compact_all, ingest, names, rows_of, stage

on_disk = pytest.mark.parametrize("kind", ["disk"], indirect=True)
OLD = f"policies/{DAY}/part-job-a-000000-00000.parquet"
NEW = f"policies/{DAY}/part-job-b-000000-r00000.parquet"


@dataclass(slots=True)
class BusyPlace:
    """A place where something happens each time that files were listed."""

    place: Place
    happens: Callable[[], object]
    times: list[int] = field(default_factory=list)

    def list_files(self, *asked: Any) -> Iterator[StoredFile]:
        """As of the place."""
        files = list(self.place.list_files(*asked))
        self.times.append(1)
        self.happens()
        yield from files

    def __getattr__(self, name: str) -> Any:
        return getattr(self.place, name)


def policies(place: Any) -> list[str]:
    return [file.name for file in list_files_of_a_moment(place) if file.table == "policies"]


def test_a_plan_counts_when_it_is_decided_and_then_all_of_it(place: Place) -> None:
    ingest(place, "job-a", A)
    plan = Plan("job-b", 0, 1, (stage(place, "job-b", 0, NEW, rows_of(("job-a", A))),), (OLD,))
    write_plan(place, plan)
    assert policies(place) == [OLD]
    place.publish(plan.publish[0])
    assert names(place, "policies/") == [OLD, NEW]
    assert policies(place) == [OLD]
    place.create_document(plan_name("job-b", 0, ".verdict"), b'{"outcome": "published"}')
    assert policies(place) == [NEW]
    assert run_plan(place, plan) == "published"
    assert policies(place) == [NEW]


@on_disk
def test_a_plan_that_is_rolled_back_never_counts(place: Place) -> None:
    ingest(place, "job-a", A)
    plan = Plan("job-b", 0, 1, (stage(place, "job-b", 0, NEW, rows_of(("job-a", A))),), (OLD,))
    write_plan(place, plan)
    place.publish(plan.publish[0])
    place.create_document(plan_name("job-b", 0, ".verdict"), b'{"outcome": "rolled_back"}')
    assert policies(place) == [OLD]


@on_disk
def test_it_lists_again_if_a_plan_took_a_step_meanwhile(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    busy = BusyPlace(place, lambda: compact_all(busy.place, "job-z") if len(busy.times) == 1 else None)
    assert policies(busy) == [f"policies/{DAY}/part-job-z-000001-r00000.parquet"]
    assert len(busy.times) == 2


@on_disk
def test_a_place_that_is_never_still_is_told(place: Place) -> None:
    ingest(place, "job-a", A)

    def go_on() -> None:
        place.create_document(plan_name("job-b", len(busy.times)), b"")

    busy = BusyPlace(place, go_on)
    with pytest.raises(BatchError, match="changes all the time; run it again later"):
        policies(busy)
