"""Text for people: progress, summaries, listings. Values in, lines out; nothing else is decided here."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from al3spark.al3.dictionary import Dictionary, Layout
from al3spark.config import CSV
from al3spark.store.naming import export_name

if TYPE_CHECKING:  # they import Spark
    from al3spark.planning import Selection
    from al3spark.reporting import Progress

_PARSING = "parsing"
_MILESTONES = (0.25, 0.5, 0.75, 1.0)


def _write(text: str) -> None:
    with suppress(BrokenPipeError):  # nobody reads it any more; the batch goes on
        sys.stderr.write(text)
        sys.stderr.flush()


class ProgressLine:
    """Show progress on standard error: on a terminal one line that changes, else one a step and milestone."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._began = time.monotonic()
        self._step = ""
        self._passed = 0.0

    def show(self, progress: "Progress") -> None:
        """Show how far a batch is."""
        begins = progress.step != self._step
        if begins:
            self._step, self._passed = progress.step, 0.0
            self._began = self._began if progress.fraction else time.monotonic()
        text = self._text(progress)
        if self._terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            _write(f"\r\x1b[K{text[: width - 1] if width else text}")
            return
        passed = max((mark for mark in _MILESTONES if mark <= progress.fraction), default=0.0)
        if begins or passed > self._passed:
            _write(f"{text}\n")
        self._passed = passed

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Nothing: the summary tells."""

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._terminal and self._step:
            _write("\r\x1b[K")

    def _text(self, progress: "Progress") -> str:
        text = progress.step
        if progress.files:
            text += f" {progress.files:,} files, {progress.bytes / 1e6:,.1f} MB"
        seconds = time.monotonic() - self._began
        if progress.step == _PARSING and progress.fraction and seconds:
            rate = progress.fraction * progress.bytes / seconds / 1e6
            text += f": {progress.fraction:.0%}, {rate:.1f} MB/s"
            if progress.fraction < 1:
                text += f", {_duration(seconds / progress.fraction - seconds)} left"
        return text


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def summary_lines(manifest: Mapping[str, Any]) -> list[str]:
    """Tell how a batch ended."""
    summary = manifest["summary"]
    stopped = manifest["stopped"]
    lines = [
        f"{manifest['job_id']}: {manifest['status']}",
        *(
            [f"stopped: {stopped['reason']}; nothing of chunk {stopped['chunk']} is published"]
            if stopped
            else []
        ),
        f"{summary['bytes'] / 1e6:.1f} MB in {summary['duration_seconds']:.1f} s, "
        f"{summary['mb_per_second']:.1f} MB/s",
        "",
        "files",
        *_columns(
            [
                (name.replace("_", " "), f"{summary[name]:,}")
                for name in ("succeeded", "succeeded_with_faults", "failed", "skipped", "remaining", "total")
                if summary[name] or name != "remaining"
            ]
        ),
    ]
    if summary["too_young"]:
        age = manifest["request"]["options"]["min_age_s"]
        lines.append(
            f"  {summary['too_young']:,} skipped files are younger than {age} s and wait for the next run; "
            "--min-age-s 0 takes them at once"
        )
    if summary["replaced_rows"]:
        lines.append(f"  {summary['replaced_rows']:,} older rows were replaced")
    if summary["archived"]:
        lines.append(f"  {summary['archived']:,} files went to the archive")
    if manifest["not_archived"]:
        first = manifest["not_archived"][0]
        lines.append(
            f"  {len(manifest['not_archived']):,} could not be moved, the next run tries again; the first: "
            f"{first['reason']}"
        )
    if manifest["tables"]:
        lines += [
            "",
            "rows",
            *_columns([(name, f"{each['rows']:,}") for name, each in manifest["tables"].items()]),
        ]
    if manifest["faults"]:
        faults = [
            (code, f"{count:,}")
            for category in manifest["faults"].values()
            for code, count in category.items()
        ]
        lines += ["", "faults", *_columns(faults)]
    if manifest["failed_files"]:
        lines += [
            "",
            "failed",
            *(f"  {each['file']}: {each['reason']}" for each in manifest["failed_files"][:10]),
        ]
        more = summary["failed"] - 10
        lines += [f"  and {more} more, see the files table"] if more > 0 else []
    destination = manifest["request"]["destination"]
    if destination["format"] == CSV:
        lines += ["", f"csv files: {destination['uri'].rstrip('/')}/{export_name(manifest['job_id'])}"]
    return lines


def preview_lines(selection: "Selection") -> list[str]:
    """Tell what a run would read."""
    size = sum(file.size for file in selection.files)
    return [
        *(f"{file.path}  {file.size}" for file in selection.files),
        f"{len(selection.files)} files to read, {size / 1e6:.1f} MB; {len(selection.skipped)} skipped",
    ]


def findings_lines(findings: Mapping[str, Any]) -> list[str]:
    """Tell what a validation found."""
    lines = []
    for code, found in findings["faults"].items():
        lines.append(f"{found['severity']} {code}: {found['count']:,}")
        lines += [f"  {_place_of(place)}" for place in found["places"]]
    lines.append(
        f"{findings['files']:,} files, {findings['records']:,} records, {findings['errors']:,} errors"
    )
    return lines


def _place_of(place: Mapping[str, Any]) -> str:
    where = place["file_path"]
    if place["byte_offset"] is not None:
        where += f" at {place['byte_offset']}"
    names = (place["group_code"], place["element"])
    what = ".".join(name for name in names if name)
    raw = f" [{place['raw']}]" if place["raw"] else ""
    return f"{where}: {what + ' ' if what else ''}{place['message']}{raw}"


def job_lines(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """List jobs, one a line."""
    rows = [("job", "status", "created", "files", "failed")]
    for job in jobs:
        progress = job["progress"]
        shown = "stalled" if job["stalled"] else job["status"]
        created = job["created_at"][:19].replace("T", " ")
        rows.append(
            (job["job_id"], shown, created, f"{progress['total_files']:,}", f"{progress['failed']:,}")
        )
    return aligned(rows)


def status_lines(status: Mapping[str, Any]) -> list[str]:
    """Tell how a job is doing."""
    progress = status["progress"]
    stalled = f", no sign of life since {status['heartbeat_at'][:19]}" if status["stalled"] else ""
    reason = f": {status['reason']}" if status.get("reason") else ""
    first = f"{status['job_id']}: {status['status']}{stalled}{reason}"
    if status["started_at"] is None:
        return [first]
    lines = [
        first,
        f"  {progress['percent']} % of {progress['total_bytes'] / 1e6:.1f} MB, chunk {progress['chunk']} of "
        f"{progress['chunks']}, {status['mb_per_second']:.1f} MB/s",
        f"  files: {progress['completed']} completed, {progress['failed']} failed, "
        f"{progress['skipped']} skipped, {progress['remaining']} remaining",
    ]
    if status["estimated_completion"]:
        lines.append(f"  due at {status['estimated_completion'][:19].replace('T', ' ')} UTC")
    return lines + [f"  {each['code']} {each['file']}: {each['error']}" for each in status["errors"]]


def error_lines(page: Mapping[str, Any]) -> list[str]:
    """Show a page of faults."""
    lines = [f"{each['severity']} {each['code']} {_place_of(each)}" for each in page["errors"]]
    return [*lines, f"page {page['page']} of {page['pages']}, {page['rows']:,} faults of {page['job_id']}"]


def export_lines(export: Mapping[str, Any]) -> list[str]:
    """Tell what a zip of CSV files holds, and what it cannot."""
    job, rows = export["job_id"], sum(export["tables"].values())
    lines = [
        f"{export['where']}: {rows:,} rows of {len(export['tables'])} tables, {export['size'] / 1e6:.1f} MB"
    ]
    if export["missing"]:
        lines.append(
            f"  {export['missing']:,} of {rows + export['missing']:,} rows that {job} wrote are no more in "
            "the tables: a later job replaced them"
        )
    if not export["has_manifest"]:
        lines.append(f"  {job} has no manifest: it has not ended, was killed, or its documents were cleaned")
    return lines


def dictionary_lines(dictionary: Dictionary) -> list[str]:
    """List all groups, those without a layout too."""
    rows = [("group", "table", "elements", "length", "name")]
    for group, title in dictionary.titles:
        layout = dictionary.layout(group)
        facts = (layout.table, str(len(layout.elements)), str(layout.length)) if layout else ("-", "-", "-")
        rows.append((group, *facts, title))
    return [*aligned(rows), f"version {dictionary.version}"]


def group_lines(layout: Layout) -> list[str]:
    """Show the elements of a group."""
    rows = [("start", "length", "kind", "scale", "id", "superseded by", "pii", "element")]
    rows += [
        (
            str(each.start),
            str(each.length),
            each.kind,
            str(each.scale or "-"),
            each.element_id or "-",
            each.superseded_by or "-",
            each.pii or "-",
            each.name,
        )
        for each in layout.elements
    ]
    return [f"{layout.group} {layout.title}: table {layout.table}, {layout.length} bytes", *aligned(rows)]


def _columns(pairs: Sequence[tuple[str, str]]) -> list[str]:
    wide = max(len(name) for name, _ in pairs)
    right = max(len(value) for _, value in pairs)
    return [f"  {name:<{wide}}  {value:>{right}}" for name, value in pairs]


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lay out cells in columns."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
