"""The plan of a chunk: once written it is carried out whole or taken back whole, whoever dies in between.

In: what a chunk staged and what it replaces, as a Plan. Out: published files, or none of them.
Documents, `_al3spark/jobs/<job_id>/plan-<number>...`, each written once, by create-if-absent:
    .json          the plan, the point of no return; or a tombstone: the job was taken over, no more plans
    .verdict.json  published (all is there, removals may begin) or rolled_back (a file is lost)
    .done.json     nothing is left to do
Promises: any number of processes may run the same plan at the same time, one that slept for days included,
and all come to the same end. For files only move from staged to published; the verdict is one document that
one of them wins; and what is removed is never published again, because a final name belongs to one plan only.
Readers believe the `files` table: its files are published last and taken back first.
Leaves to others: who may write plans (lock.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar

from al3spark.errors import BatchError, StoreError
from al3spark.store.documents import JOBS, job_folder, read_document, to_json
from al3spark.store.places import Place
from al3spark.store.staging import StagedFile

Outcome = Literal["published", "rolled_back"]

T = TypeVar("T")
R = TypeVar("R")

FILES_TABLE = "files/"
WORKERS = 8
PLAN_NAME = re.compile(rf"{JOBS}/(?P<job>[^/]+)/plan-(?P<number>\d+)(?P<rest>\.verdict|\.done|)\.json")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a chunk publishes, and the final names that it removes. `number` counts the plans of a job.

    A final name must never be used by a second plan: put job and number into it. A chunk that is run again
    after a roll-back takes the next number. `epoch` is that of the lock that the job held.
    """

    job_id: str
    number: int
    epoch: int
    publish: tuple[StagedFile, ...]
    removals: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [staged.final_name for staged in self.publish]
        if self.number < 0 or len({*names, *self.removals}) < len(names) + len(self.removals):
            raise ValueError(
                f"plan {self.number} of {self.job_id}: a negative number, or a name that occurs twice"
            )


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Stands where the next plan of a job that was taken over would be. `by` is the job that took over."""

    job_id: str
    number: int
    epoch: int
    by: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a recovery did: plans as `<job_id>/plan-<number>`, and how many staged files it removed."""

    published: tuple[str, ...] = ()
    rolled_back: tuple[str, ...] = ()
    discarded: int = 0


def write_plan(place: Place, plan: Plan) -> None:
    """The point of no return. BatchError: the job was taken over; nothing of the plan happens."""
    if plan.number and place.find(plan_name(plan.job_id, plan.number - 1)) is None:
        raise ValueError(f"{plan.job_id} has no plan {plan.number - 1} before plan {plan.number}")
    name = plan_name(plan.job_id, plan.number)
    if place.create_document(name, to_json(asdict(plan))):
        return
    found = read_plan(place, plan.job_id, plan.number)
    if isinstance(found, Tombstone):
        raise BatchError(f"{plan.job_id} was taken over by job {found.by} and publishes nothing more")
    if found != plan:  # equal: the answer to our own first try was lost
        raise BatchError(f"{place.uri(name)}: exists already")


def read_plan(place: Place, job_id: str, number: int) -> Plan | Tombstone | None:
    """A plan, or what stands in its place; None if there is nothing. StoreError: not a plan."""
    name = plan_name(job_id, number)
    document = read_document(place, name)
    if document is None:
        return None
    if not document:  # its writer died between taking the name and filling it, so nothing of it was begun
        return Tombstone(job_id, number, 0, by=job_id)
    try:
        if document.get("aborted"):
            return Tombstone(job_id, number, document["epoch"], document["by"])
        publish = tuple(StagedFile(**staged) for staged in document["publish"])
        return Plan(job_id, number, document["epoch"], publish, tuple(document["removals"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{place.uri(name)}: not a plan ({error!r})") from error


def run_plan(place: Place, plan: Plan, workers: int = WORKERS) -> Outcome:
    """Carry out a written plan, or what is left of it; the same whoever calls it, how often and when.

    StoreError: the disk refused something; the plan stays open, call again or leave it to recovery.
    """
    outcome = _read_verdict(place, plan) or _decide(place, plan, _publish(place, plan, workers))
    if outcome == "published":
        _each(place.remove, plan.removals, workers)
    else:
        _take_back(place, plan, workers)
    place.create_document(plan_name(plan.job_id, plan.number, ".done"), to_json({"outcome": outcome}))
    return outcome


def abort_job(place: Place, job_id: str, by: str, epoch: int) -> None:
    """Make sure that a job writes no more plans: a tombstone where its next one would be."""
    while True:
        numbers = [number for _, number, rest in _list_plans(place, job_id) if not rest]
        number = max(numbers, default=-1) + 1
        if numbers and isinstance(read_plan(place, job_id, number - 1), Tombstone):
            return
        tombstone = {"aborted": True, "epoch": epoch, "by": by}
        if place.create_document(plan_name(job_id, number), to_json(tombstone)):
            return


def recover(place: Place, keep: str, workers: int = WORKERS) -> Recovery:
    """Bring every open plan to its end, then discard the staged files of all jobs but `keep`; repeatable.

    The caller holds the lock, and has aborted the jobs that might wake up.
    """
    published, rolled_back = _finish_plans(place, None, workers)
    discarded = sum(place.discard_staged(job_id) for job_id in place.staged_jobs() if job_id != keep)
    return Recovery(published, rolled_back, discarded)


def settle_job(place: Place, job_id: str, workers: int = WORKERS) -> Recovery:
    """The same for one job, when it ends early: of an open plan no staged file may be discarded."""
    published, rolled_back = _finish_plans(place, job_id, workers)
    return Recovery(published, rolled_back, place.discard_staged(job_id))


def plan_name(job_id: str, number: int, rest: str = "") -> str:
    """The name of a plan, or of its `.verdict` or `.done`."""
    return f"{job_folder(job_id)}/plan-{number:06}{rest}.json"


def _list_plans(place: Place, job_id: str | None = None) -> Iterable[tuple[str, int, str]]:
    """Job, number and rest ('', '.verdict', '.done') of all plan documents, in order."""
    for name in place.list_names(f"{job_folder(job_id) if job_id else JOBS}/"):
        if found := PLAN_NAME.fullmatch(name):
            yield found["job"], int(found["number"]), found["rest"]


def _finish_plans(place: Place, job_id: str | None, workers: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Run all plans that are not done; which of them are published now, and which rolled back."""
    listed = list(_list_plans(place, job_id))
    done = {(job, number) for job, number, rest in listed if rest == ".done"}
    ends: dict[Outcome, list[str]] = {"published": [], "rolled_back": []}
    for job, number, rest in listed:
        if not rest and (job, number) not in done:
            plan = read_plan(place, job, number)
            if isinstance(plan, Plan):
                ends[run_plan(place, plan, workers)].append(f"{job}/plan-{number:06}")
            else:
                place.create_document(plan_name(job, number, ".done"), to_json({"outcome": "aborted"}))
    return tuple(ends["published"]), tuple(ends["rolled_back"])


def _publish(place: Place, plan: Plan, workers: int) -> Outcome:
    """Publish everything, the `files` table after all else. `rolled_back` if something is lost."""
    for part in reversed(_parts(plan)):
        if not all(_each(place.publish, part, workers)):
            return "rolled_back"
    return "published"


def _take_back(place: Place, plan: Plan, workers: int) -> None:
    """Remove everything, the `files` table before all else.

    The staged file goes before the published one: whoever publishes at this very moment is earlier, and what
    he publishes is removed, or he fails.
    """

    def take_back(staged: StagedFile) -> None:
        place.discard(staged)
        place.remove(staged.final_name)

    for part in _parts(plan):
        _each(take_back, part, workers)


def _parts(plan: Plan) -> tuple[list[StagedFile], list[StagedFile]]:
    """The files of the `files` table, and all others."""
    ledger = [staged for staged in plan.publish if staged.final_name.startswith(FILES_TABLE)]
    return ledger, [staged for staged in plan.publish if not staged.final_name.startswith(FILES_TABLE)]


def _read_verdict(place: Place, plan: Plan) -> Outcome | None:
    document = read_document(place, plan_name(plan.job_id, plan.number, ".verdict"))
    return document.get("outcome") if document else None


def _decide(place: Place, plan: Plan, outcome: Outcome) -> Outcome:
    """Write the verdict; where another process was faster, its verdict counts."""
    name, data = plan_name(plan.job_id, plan.number, ".verdict"), to_json({"outcome": outcome})
    if place.create_document(name, data):
        return outcome
    found = _read_verdict(place, plan)
    if found is None:  # taken but never filled: the writer died there
        place.write_document(name, data)
    return found or outcome


def _each(action: Callable[[T], R], items: Iterable[T], workers: int) -> list[R]:
    """Several at a time; waits for all, then raises the first error."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(action, items))
