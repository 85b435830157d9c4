"""What machines read about a batch: log lines, CloudWatch metrics, an OpenMetrics file, a hook at the end.

In: progress and manifests. Out: lines on a stream, text for a file, a command that is run. Never payload.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

MILESTONES = (0.25, 0.5, 0.75, 1.0)
NAMESPACE = "al3spark"
HOOK_S = 300.0  # a command that waits would keep the cluster, and its costs
_UNITS = {"files": "Count", "bytes": "Bytes", "percent": "Percent", "seconds": "Seconds", "failed": "Count"}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is, for people. Units: bytes to parse; `fraction` of all work, 0 to 1."""

    step: str
    files: int = 0
    bytes: int = 0
    fraction: float = 0.0


class LogLines:
    """Write one JSON line at each step and milestone, with `emf` as CloudWatch embedded metrics.

    Source of the form: Amazon CloudWatch, Embedded Metric Format specification.
    """

    def __init__(self, emf: bool, stream: TextIO | None = None) -> None:
        self._emf, self._stream = emf, stream or sys.stderr
        self._step, self._passed = "", 0.0

    def show(self, progress: Progress) -> None:
        """Log that a step begins, or that a milestone is passed."""
        passed = max((mark for mark in MILESTONES if mark <= progress.fraction), default=0.0)
        if progress.step == self._step and passed <= self._passed:
            return
        self._step, self._passed = progress.step, passed
        measured = {"files": progress.files, "bytes": progress.bytes, "percent": round(100 * passed)}
        self._write({"event": progress.step}, measured)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Log how a batch ended."""
        summary = manifest["summary"]
        measured = {
            "files": summary["processed"],
            "failed": summary["failed"],
            "bytes": summary["bytes"],
            "seconds": summary["duration_seconds"],
        }
        self._write({"event": "ended", "job_id": manifest["job_id"], "status": manifest["status"]}, measured)

    def __enter__(self) -> "LogLines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def _write(self, said: dict[str, Any], measured: Mapping[str, float]) -> None:
        now = datetime.now(UTC)
        line: dict[str, Any] = {"at": now.isoformat(timespec="milliseconds"), **said, **measured}
        if self._emf:
            metrics = [{"Name": name, "Unit": _UNITS[name]} for name in measured]
            directive = {"Namespace": NAMESPACE, "Dimensions": [["event"]], "Metrics": metrics}
            line["_aws"] = {"Timestamp": int(now.timestamp() * 1000), "CloudWatchMetrics": [directive]}
        with suppress(BrokenPipeError):  # nobody reads it any more; the batch goes on
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()


def open_metrics(manifest: Mapping[str, Any]) -> str:
    """Write a manifest as OpenMetrics text, which node_exporter's textfile collector reads too."""
    summary = manifest["summary"]
    job = {"job_id": manifest["job_id"], "status": manifest["status"]}
    files = [({**job, "result": name}, summary[name]) for name in ("succeeded", "failed", "skipped")]
    tables = manifest["tables"].items()
    faults = [each for category in manifest["faults"].values() for each in category.items()]
    families = {
        "files": files,
        "rows": [({**job, "table": table}, each["rows"]) for table, each in tables],
        "faults": [({**job, "code": code}, count) for code, count in faults],
        "bytes": [(job, summary["bytes"])],
        "duration_seconds": [(job, summary["duration_seconds"])],
        "retries": [(job, summary["retries"])],
    }
    return "".join(_family(name, samples) for name, samples in families.items()) + "# EOF\n"


def _family(name: str, samples: Sequence[tuple[dict[str, str], float]]) -> str:
    lines = [f"# TYPE al3spark_job_{name} gauge\n"]
    for labels, value in samples:
        inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.append(f"al3spark_job_{name}{{{inside}}} {value}\n")
    return "".join(lines)


def run_hook(command: Sequence[str], job_id: str, status: str, manifest: str) -> str:
    """Run the command that was asked for at the end; give what went wrong with it, or ""."""
    told = {"AL3SPARK_JOB_ID": job_id, "AL3SPARK_STATUS": status, "AL3SPARK_MANIFEST": manifest}
    try:
        code = subprocess.run(
            list(command), env={**os.environ, **told}, check=False, timeout=HOOK_S
        ).returncode
    except subprocess.TimeoutExpired:
        return f"on_finish: {command[0]} did not end within {HOOK_S:.0f} s and was killed"
    except OSError as error:
        return f"on_finish: {command[0]}: {error.strerror}"
    return f"on_finish: {command[0]} ended with {code}" if code else ""
