"""One writer at a time: a lock that a dead owner cannot keep and a sleeping one cannot abuse.

In: a place and a job. Out: the Lock, with everything that an earlier owner left undone already recovered.
Documents, `_al3spark/lock-<epoch>...`, the only primitive is create-if-absent:
    .json            who owns the epoch; the highest epoch owns the lock
    .heartbeat.json  replaced by a thread of the owner; the only one that changes
    .released.json   the owner is done (a document of its own, so that a late heartbeat cannot undo it)
Promises: whoever finds an owner that is alive gets a BatchError. An owner is dead if its process is gone from
this very host, or if its heartbeat has not changed for a while by the clock of who waits; no two clocks are
compared. Then the next epoch is created, a tombstone keeps the dead job from writing another plan should it
wake up, its open plans are run, and only then its staged files are discarded.
Leaves to others: plans and tombstones (publish.py), the status of jobs that died (documents.py).
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from al3spark.errors import BatchError, StoreError
from al3spark.store.documents import read_document, to_json
from al3spark.store.places import Place
from al3spark.store.publish import Recovery, abort_job, recover

PREFIX = "_al3spark/lock-"
LOCK_NAME = re.compile(rf"{PREFIX}(?P<epoch>\d+)(?P<rest>\.heartbeat|\.released|)\.json")
HEARTBEAT_S = 10.0
STALE_AFTER_S = 120.0  # well above the minute for which NFS clients may keep file attributes
SAME_HOST = ("host", "boot", "pid_namespace")


class Lock:
    """Ownership of a destination, kept alive by a thread until `release`; made by `acquire`.

    `recovery` is what was repaired at the start, `taken_over` the jobs that had died with the lock.
    """

    def __init__(self, place: Place, job_id: str, epoch: int, heartbeat_s: float) -> None:
        self.job_id, self.epoch = job_id, epoch
        self.recovery = Recovery()
        self.taken_over: tuple[str, ...] = ()
        self._place, self._heartbeat_s = place, heartbeat_s
        self._stop, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="al3spark-heartbeat", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether the heartbeat has seen another owner; cheap, `check` is sure."""
        return self._lost.is_set()

    def check(self) -> None:
        """BatchError: the job was taken over. Call it before what only the owner may do."""
        owner = _read_owner(self._place)
        if owner and owner.epoch > self.epoch:
            self._lost.set()
            raise BatchError(f"{self.job_id} was taken over by job {owner.job_id} and stops here")

    def release(self) -> None:
        """Let the next one in at once. StoreError: it will have to wait until the heartbeat is stale."""
        self._stop.set()
        self._thread.join()
        self._place.create_document(lock_name(self.epoch, ".released"), to_json({"job_id": self.job_id}))

    def _beat(self) -> None:
        beat = 0
        while not self._stop.is_set():
            beat += 1
            document = to_json({"job_id": self.job_id, "beat": beat, "at": datetime.now(UTC).isoformat()})
            with contextlib.suppress(StoreError, BatchError):  # the next one may work
                self.check()
                self._place.write_document(lock_name(self.epoch, ".heartbeat"), document)
            self._stop.wait(self._heartbeat_s)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        try:
            self.release()
        except StoreError:
            if not kind:  # else what went wrong before counts
                raise


@dataclass(frozen=True, slots=True)
class Owner:
    """Who created an epoch, from which process (see `this_process`), and whether that is over."""

    epoch: int
    job_id: str
    since: str
    process: dict[str, Any]
    released: bool


def acquire(
    place: Place,
    job_id: str,
    stale_after_s: float = STALE_AFTER_S,
    heartbeat_s: float = HEARTBEAT_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Lock:
    """Own the destination, and recover it. `stale_after_s` must be many heartbeats of the other side.

    Takes up to `stale_after_s` where an owner seems dead, and a heartbeat of the owner where it is alive.
    BatchError: another job is alive, or was faster. StoreError: the destination cannot be written or
    recovered.
    """
    lock = None
    while lock is None:
        owner = _read_owner(place)
        if owner and not owner.released:
            _wait_for_end(place, owner, stale_after_s, clock, sleep)
        lock = _take(place, job_id, owner.epoch + 1 if owner else 1, heartbeat_s)
    try:
        _clear(place, lock)
    except BaseException:
        with contextlib.suppress(StoreError):  # what went wrong before counts
            lock.release()
        raise
    return lock


def lock_name(epoch: int, rest: str = "") -> str:
    """The name of a lock document, or of its `.heartbeat` or `.released`."""
    return f"{PREFIX}{epoch:012}{rest}.json"


def this_process() -> dict[str, Any]:
    """What tells this process from all others; without `boot` the system does not say (not Linux)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # Containers on one host share its boot, and each has its own process 1.
        namespace = str(Path("/proc/self/ns/pid").readlink())
        started = _process_started(os.getpid())
    except OSError:
        boot, namespace, started = "", "", None
    return {
        "host": socket.gethostname(),
        "boot": boot,
        "pid_namespace": namespace,
        "pid": os.getpid(),
        "started": started,
    }


def is_gone(process: dict[str, Any]) -> bool:
    """Whether a process ran on this host and does not any more. False also means: cannot tell."""
    here = this_process()
    if not here["boot"] or any(process.get(key) != here[key] for key in SAME_HOST):
        return False
    try:
        os.kill(process["pid"], 0)
        return bool(_process_started(process["pid"]) != process["started"])
    except ProcessLookupError:
        return True
    except OSError:
        return False  # of another user, who may hide it


def _process_started(pid: int) -> str | None:
    """When a process started, in ticks since boot; None if it has ended and its parent has not asked yet.

    Source: proc(5), /proc/pid/stat; the name in brackets may hold anything.
    """
    state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


def _take(place: Place, job_id: str, epoch: int, heartbeat_s: float) -> Lock | None:
    """Create an epoch. None: somebody had it before, and has released it. BatchError: somebody has it."""
    document = {"job_id": job_id, "since": datetime.now(UTC).isoformat(timespec="seconds"), **this_process()}
    created = place.create_document(lock_name(epoch), to_json(document))
    winner = _read_owner(place)
    if created and (winner is None or winner.epoch == epoch):
        return Lock(place, job_id, epoch, heartbeat_s)
    if created:  # somebody owned the lock meanwhile and cleaned up what was before
        place.remove(lock_name(epoch))
    if winner and not winner.released:
        raise BatchError(_held_by(winner))
    return None


def _clear(place: Place, lock: Lock) -> None:
    """Finish what earlier owners left: tombstones for the dead ones, plans, staged files, lock documents."""
    owners = [owner for owner in _list_owners(place) if owner.epoch < lock.epoch]
    lock.taken_over = tuple(owner.job_id for owner in owners if owner.job_id and not owner.released)
    for job_id in lock.taken_over:
        abort_job(place, job_id, by=lock.job_id, epoch=lock.epoch)
    lock.recovery = recover(place, keep=lock.job_id)
    # The lock before its release, so that a job that ended well is never taken for a dead one.
    for rest in ("", ".heartbeat", ".released"):
        for name in list(place.list_names(PREFIX)):
            found = LOCK_NAME.fullmatch(name)
            if found and int(found["epoch"]) < lock.epoch and found["rest"] == rest:
                place.remove(name)


def _wait_for_end(
    place: Place,
    owner: Owner,
    stale_after_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Return once an owner is dead or has released; BatchError as soon as it shows life."""
    heartbeat, since = place.read(lock_name(owner.epoch, ".heartbeat")), clock()
    while clock() - since < stale_after_s and not is_gone(owner.process):
        sleep(min(1.0, stale_after_s / 20))
        now = _read_owner(place)
        if now is None or now.epoch > owner.epoch or now.released:
            return
        if place.read(lock_name(owner.epoch, ".heartbeat")) != heartbeat:
            raise BatchError(_held_by(owner))


def _held_by(owner: Owner) -> str:
    where = f"process {owner.process.get('pid')} on {owner.process.get('host')}"
    return f"job {owner.job_id} holds the lock of the destination since {owner.since} ({where})"


def _list_owners(place: Place) -> list[Owner]:
    """All epochs that have a lock document, in order."""
    found = [match for name in place.list_names(PREFIX) if (match := LOCK_NAME.fullmatch(name))]
    released = {match["epoch"] for match in found if match["rest"] == ".released"}
    owners = []
    for match in found:
        document = read_document(place, match[0]) if not match["rest"] else None
        if document is not None:
            owners.append(
                Owner(
                    int(match["epoch"]),
                    document.get("job_id", ""),
                    document.get("since", ""),
                    document,
                    match["epoch"] in released,
                )
            )
    return sorted(owners, key=lambda owner: owner.epoch)


def _read_owner(place: Place) -> Owner | None:
    """The one with the highest epoch."""
    return max(_list_owners(place), key=lambda owner: owner.epoch, default=None)
