"""The data files that count at one moment, for readers who do not hold the lock.

In: a destination, on which somebody may be at work. Out: data files. Promises: the files of all plans whose
verdict was `published` at that moment, without what these plans remove, and no file of any other plan: no row
is missing and none is there twice. Files in the answer can be removed later; whoever finds one gone looks
again. Leaves to others: rows that nobody committed in files whose plan was cleaned away. Raises: StoreError,
BatchError.
"""

from collections.abc import Iterator

from al3spark.errors import BatchError
from al3spark.parquet.datafiles import DataFile, list_data_files
from al3spark.store.documents import JOBS, read_document
from al3spark.store.places import Place
from al3spark.store.publish import PLAN_NAME, Plan, plan_name, read_plan

ATTEMPTS = 20


def list_files_of_a_moment(place: Place) -> tuple[DataFile, ...]:
    """The data files that count, sorted by name. BatchError: there is no moment without a change."""
    plans = _list_plans(place)
    for _ in range(ATTEMPTS):
        files = list(list_data_files(place))
        hidden = set(_find_hidden(place, plans))
        before, plans = plans, _list_plans(place)
        if plans == before:  # no plan took a step meanwhile
            return tuple(file for file in files if file.name not in hidden)
    raise BatchError(f"{place.uri('')}: changes all the time; run it again later")


def _list_plans(place: Place) -> frozenset[tuple[str, int, str]]:
    """Job, number and rest of all plan documents."""
    found = (PLAN_NAME.fullmatch(name) for name in place.list_names(f"{JOBS}/"))
    return frozenset((match["job"], int(match["number"]), match["rest"]) for match in found if match)


def _find_hidden(place: Place, plans: frozenset[tuple[str, int, str]]) -> Iterator[str]:
    """What open plans publish as long as they are not decided, or remove when they are."""
    for job_id, number, rest in plans:
        if rest or (job_id, number, ".done") in plans:
            continue
        plan = read_plan(place, job_id, number)
        verdict = read_document(place, plan_name(job_id, number, ".verdict")) or {}
        if isinstance(plan, Plan) and verdict.get("outcome") == "published":
            yield from plan.removals
        elif isinstance(plan, Plan):
            yield from (staged.final_name for staged in plan.publish)
