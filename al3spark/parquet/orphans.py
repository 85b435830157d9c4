"""Which Parquet files are committed and which nobody committed: orphans.

In: a destination whose lock the caller holds. Out: names. A plan on record decides; where it was cleaned
away, the rows of the file do. Raises: StoreError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pyarrow.compute as pc

from al3spark.al3.tables import ERRORS_TABLE
from al3spark.parquet.datafiles import DataFile, Pairs, count_rows, group_pairs, list_data_files, read_batches
from al3spark.store.documents import JOBS, read_document
from al3spark.store.files_table import FILES_TABLE
from al3spark.store.places import Place
from al3spark.store.publish import PLAN_NAME, Plan, plan_name, read_plan

Fate = Literal["live", "dead", "open"]

WORKERS = 8
# How a plan ended -> what became of what it publishes, and of what it removes.
FATES: dict[str, tuple[Fate, Fate | None]] = {"published": ("live", "dead"), "rolled_back": ("dead", None)}


def find_orphans(place: Place) -> tuple[str, ...]:
    """Data files that no query may count and no plan will touch, for `clean` to remove; mostly none.

    Only names as this project makes them. A plan on record decides: it was rolled back, or published and has
    removed the file. Where the plan was cleaned away, the rows decide: not one of them has a `succeeded` row
    with its (job_id, file_id) in `files` (for `errors`: any row with its job_id). So nothing of an open plan,
    nothing of `files` on the word of rows, and nothing at all on their word while `files` has no such row.
    """
    fates = judge_files(place, list(list_data_files(place)))
    return tuple(name for name, fate in fates.items() if fate == "dead")


def judge_files(place: Place, files: Sequence[DataFile]) -> dict[str, Fate]:
    """Tell committed files from orphans, by plans and where there is none by rows; see `find_orphans`."""
    told = _read_fates(place)
    unknown = [file for file in files if file.name not in told and file.table != FILES_TABLE]
    known = _load_succeeded(place) if unknown else {}
    if any(len(ids) for ids in known.values()):
        with ThreadPoolExecutor(WORKERS) as pool:
            committed = list(pool.map(lambda file: _is_committed(place, file, known), unknown))
        told |= {file.name: "dead" for file, fine in zip(unknown, committed, strict=True) if not fine}
    return {file.name: told.get(file.name, "live") for file in files}


def _read_fates(place: Place) -> dict[str, Fate]:
    """What the plans on record say of the files in them. A name is in the `publish` of one plan at most."""
    found = [PLAN_NAME.fullmatch(name) for name in place.list_names(f"{JOBS}/")]
    keys = [(match["job"], int(match["number"])) for match in found if match and not match["rest"]]
    with ThreadPoolExecutor(WORKERS) as pool:
        plans = list(pool.map(lambda key: (read_plan(place, *key), _read_outcome(place, *key)), keys))
    ends: dict[Fate, set[str]] = {"live": set(), "dead": set(), "open": set()}
    for plan, outcome in plans:
        if isinstance(plan, Plan):
            published, removed = FATES.get(outcome, ("open", "open"))
            ends[published].update(staged.final_name for staged in plan.publish)
            if removed:
                ends[removed].update(plan.removals)
    return {name: fate for fate, names in ends.items() for name in names}  # of two fates the last counts


def _read_outcome(place: Place, job_id: str, number: int) -> str:
    """How a plan ended; '' if it is open, as far as is known."""
    done = read_document(place, plan_name(job_id, number, ".done"))
    return str(done.get("outcome", "")) if done else ""


def _load_succeeded(place: Place) -> Pairs:
    """The file_ids that succeeded, for each job that has a row in `files`."""

    def pairs() -> Iterator[tuple[str, str | None]]:
        columns = ["job_id", "file_id", "status"]
        for name in place.list_names(f"{FILES_TABLE}/"):
            for batch in read_batches(place, name, columns) if name.endswith(".parquet") else ():
                fine = pc.starts_with(batch["status"], "succeeded")
                ids = pc.if_else(fine, batch["file_id"], None)
                yield from zip(batch["job_id"].to_pylist(), ids.to_pylist(), strict=True)

    return group_pairs(pairs())


def _is_committed(place: Place, file: DataFile, known: Pairs) -> bool:
    if file.table == ERRORS_TABLE:
        return any(
            set(batch["job_id"].to_pylist()) & known.keys()
            for batch in read_batches(place, file.name, ["job_id"])
        )
    return count_rows(place, file.name, known)[1] > 0
