from al3spark.parquet.orphans import find_orphans
from al3spark.store.places import Place
from al3spark.store.publish import Plan, run_plan, write_plan
from tests.tables import (
    DAY,
    A,
    B,
    C,
    D,
    add_orphan,
    compact_all,
    forget_plans,
    ingest,
    ledger_of,
    names,
    publish,
    put_parquet,
    rows_of,
    stage,
)


def test_published_files_are_no_orphans(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    compact_all(place, "job-z")
    assert find_orphans(place) == ()


def test_published_files_are_no_orphans_when_their_plans_are_cleaned_away(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    ingest(place, "job-c", C)
    compact_all(place, "job-z")
    ingest(place, "job-d", D)
    forget_plans(place)
    assert find_orphans(place) == ()


def test_file_whose_rows_are_not_in_the_ledger_is_an_orphan(place: Place) -> None:
    ingest(place, "job-a", A)
    forget_plans(place)
    orphans = (
        add_orphan(place, "job-a", rows_of(("job-a", B))),
        add_orphan(place, "job-b", rows_of(("job-b", A))),
    )
    assert find_orphans(place) == orphans


def test_rows_of_a_file_that_failed_are_orphans(place: Place) -> None:
    publish(place, "job-a", 0, {f"files/{DAY}": ledger_of("job-a", A)})
    publish(place, "job-a", 1, {f"files/{DAY}": ledger_of("job-a", B, status="failed")})
    forget_plans(place)
    assert find_orphans(place) == ()
    name = add_orphan(place, "job-a", rows_of(("job-a", B)))
    assert find_orphans(place) == (name,)


def test_one_committed_row_keeps_a_file(place: Place) -> None:
    ingest(place, "job-a", A)
    add_orphan(place, "job-a", rows_of(("job-a", B), ("job-a", C), ("job-a", A)))
    assert find_orphans(place) == ()


def test_rows_with_faults_are_committed(place: Place) -> None:
    ingest(place, "job-b", B)
    publish(place, "job-a", 0, {f"files/{DAY}": ledger_of("job-a", A, status="succeeded_with_faults")})
    add_orphan(place, "job-a", rows_of(("job-a", A)))
    assert find_orphans(place) == ()


def test_errors_of_a_job_in_the_ledger_stay_whatever_became_of_its_files(place: Place) -> None:
    ingest(place, "job-a", A)
    publish(place, "job-b", 0, {f"files/{DAY}": ledger_of("job-b", B, status="failed")})
    add_orphan(place, "job-b", rows_of(("job-b", None)), "errors")
    orphan = add_orphan(place, "job-c", rows_of(("job-c", None)), "errors")
    assert find_orphans(place) == (orphan,)


def test_files_of_an_open_plan_are_no_orphans(place: Place) -> None:
    ingest(place, "job-a", A)
    name = f"policies/{DAY}/part-job-b-000000-00000.parquet"
    plan = Plan("job-b", 0, 1, (stage(place, "job-b", 0, name, rows_of(("job-b", B))),))
    write_plan(place, plan)
    place.publish(plan.publish[0])
    assert find_orphans(place) == ()


def test_what_a_rolled_back_plan_left_is_an_orphan_even_if_its_rows_came_later(place: Place) -> None:
    name = f"policies/{DAY}/part-job-a-000000-00000.parquet"
    lost = Plan("job-a", 0, 1, (stage(place, "job-a", 0, name, rows_of(("job-a", A))),))
    write_plan(place, lost)
    place.discard(lost.publish[0])
    assert run_plan(place, lost) == "rolled_back"
    ingest(place, "job-a", A, number=1)
    place.publish(stage(place, "job-a", 0, name, rows_of(("job-a", A))))
    assert find_orphans(place) == (name,)


def test_what_a_published_plan_removed_is_an_orphan_when_it_is_back(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    compact_all(place, "job-z")
    name = f"files/{DAY}/part-job-a-000000-00000.parquet"
    place.publish(stage(place, "job-a", 0, name, ledger_of("job-a", A)))
    assert find_orphans(place) == (name,)


def test_nothing_is_an_orphan_where_the_ledger_is_lost(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    forget_plans(place)
    for name in names(place, "files/"):
        place.remove(name)
    assert find_orphans(place) == ()


def test_files_that_are_not_of_this_project_are_no_orphans(place: Place) -> None:
    ingest(place, "job-a", A)
    put_parquet(place, f"policies/{DAY}/mine.parquet", rows_of(("job-b", B)))
    place.write_document("policies/part-job-b-000000-00000.parquet", b"not in a partition")
    assert find_orphans(place) == ()
