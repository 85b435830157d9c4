"""What the processes of a run cost: CPU time, and memory at its peak, of this one and all below it.

In: nothing but /proc; where there is none, nothing is told. Out: figures by role: `driver` is this process,
`jvm` Spark, `worker` the Python processes that tasks run in, `limit` those that work without Spark. Memory is
resident memory: pages that workers share count for each.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_POLL_S = 0.25
_ROLES = (("pyspark.daemon", "worker"), ("pyspark/daemon", "worker"), ("spawn_main", "limit"))


@dataclass(frozen=True, slots=True)
class Process:
    """A process: CPU seconds with those of children that have ended, and bytes that are resident now."""

    pid: int
    parent: int
    cpu_s: float
    resident: int


def measure_cpu() -> Counter[str]:
    """CPU seconds so far, by role."""
    seconds: Counter[str] = Counter()
    for process, role in _family():
        seconds[role] += process.cpu_s
    return seconds


@dataclass(slots=True)
class Cost:
    """CPU seconds by role, the most bytes that one process of a role had, and what each had over time.

    `over_time`: seconds since the beginning, and MiB by process (`worker 4711`).
    """

    cpu_s: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    over_time: list[tuple[float, dict[str, int]]] = field(default_factory=list)

    def peak_mib(self, role: str) -> float:
        """The peak in MiB, 0 where nobody saw one."""
        return self.peaks.get(role, 0) / (1 << 20)

    def memory_at(self, moments: int) -> list[tuple[float, dict[str, int]]]:
        """MiB by process at some moments, evenly over the time."""
        count = min(moments, len(self.over_time))
        return [self.over_time[(2 * n + 1) * len(self.over_time) // (2 * count)] for n in range(count)]


@contextmanager
def watch_processes() -> Iterator[Cost]:
    """Measure what happens inside; the figures are there at its end."""
    cost, done, before = Cost(), threading.Event(), measure_cpu()
    began = time.monotonic()

    def look() -> None:
        resident: dict[str, int] = {}
        for process, role in _family():
            cost.peaks[role] = max(cost.peaks.get(role, 0), process.resident)
            resident[f"{role} {process.pid}"] = process.resident >> 20
        cost.over_time.append((round(time.monotonic() - began, 1), resident))

    def poll() -> None:
        while not done.wait(_POLL_S):
            look()

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield cost
    finally:
        done.set()
        thread.join()
        look()
        now = measure_cpu()
        cost.cpu_s.update(dict(sorted((now - before).items())))


def _family() -> list[tuple[Process, str]]:
    """This process and all below it, with their roles."""
    children: dict[int, list[Process]] = {}
    own: list[Process] = []
    for entry in _PROC.glob("[0-9]*"):
        if process := _read(entry):
            children.setdefault(process.parent, []).append(process)
            own += [process] if process.pid == os.getpid() else []
    found = [(process, "driver") for process in own]
    for process, _ in found:  # it grows meanwhile
        found += [(child, _role(child.pid)) for child in children.get(process.pid, ())]
    return found


def _read(entry: Path) -> Process | None:
    with suppress(OSError, ValueError, IndexError):  # it may have ended
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
        # From utime on: user and system time, and both of children that were waited for (proc(5)).
        ticks = fields[11:13] if int(entry.name) == os.getpid() else fields[11:15]
        return Process(
            int(entry.name), int(fields[1]), sum(map(int, ticks)) * _TICK_S, int(fields[21]) * _PAGE
        )
    return None


def _role(pid: int) -> str:
    with suppress(OSError):
        line = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        if line.partition(" ")[0].endswith("java"):
            return "jvm"
        return next((role for mark, role in _ROLES if mark in line), "other")
    return "other"
