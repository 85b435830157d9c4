"""The sections of a report, one function each: facts to markup.

Promises: a section without anything to show says why. Names of files are shown from the source on.
"""

from __future__ import annotations

from al3spark.report.charts import cut_buckets, draw_bar, draw_legend, draw_parts, draw_rates
from al3spark.report.elements import Gauge, draw_gauges, draw_pairs, empty, fold, path_of, section, table
from al3spark.report.facts import CodeFacts, Facts, FileFacts, SlowFile
from al3spark.report.markup import Html, join, tag
from al3spark.report.quantities import tell_count, tell_part, tell_rate, tell_seconds, tell_size
from al3spark.report.rows import MOST_FAULTY, SPOTS_PER_CODE, Spot

ABSENT = "-"
MOST_SHOWN = 10
MOST_TABLES = 12
OF_THE_JOB = ("files", "errors")  # tables that hold no records
# Status of a file -> how it is told, and the class of its colour.
_FILES = {
    "succeeded": ("read without faults", "good"),
    "succeeded_with_faults": ("read, with faults", "fair"),
    "failed": ("failed", "bad"),
    "skipped": ("skipped", "idle"),
    "remaining": ("not reached", "open"),
}


def files_section(facts: Facts) -> Html:
    """Files by status."""
    if not facts.files:
        return section("Files by status", empty("There was no file to read."))
    whole = sum(count for _, count in facts.files)
    parts = [(*_FILES[status], count) for status, count in facts.files]
    bar = draw_parts([(name, count, kind) for name, kind, count in parts])
    legend = draw_legend(
        [(name, tell_count(count), tell_part(count, whole), kind) for name, kind, count in parts]
    )
    reasons = _skip_reasons(facts)
    skipped = [tag("p", f"Skipped: {'; '.join(reasons)}.", class_="below")] if reasons else []
    return section("Files by status", bar, legend, *skipped)


def _skip_reasons(facts: Facts) -> list[str]:
    told = [(count, reason) for reason, count in facts.skip_reasons]
    known = facts.count("skipped") - sum(count for count, _ in told) - facts.too_young
    told += [(facts.too_young, "too young"), (known, "known already, or copies of what failed")]
    return [f"{tell_count(count)} {reason}" for count, reason in told if count > 0]


def throughput_section(facts: Facts) -> Html:
    """Bytes a second over time."""
    title = "Throughput over time"
    buckets = cut_buckets(facts.points)
    if buckets:
        average = sum(bucket.rate for bucket in buckets) / len(buckets)
        note = f"MB/s by time since parsing began; the dashed line is their average, {tell_rate(average)}."
        return section(title, draw_rates(buckets, average), note=note)
    if not facts.points and facts.ended:
        return section(title, empty("This job kept no record of its progress."))
    early = "It was over too soon to draw it." if facts.ended else "Too little is done yet to draw it."
    return section(title, empty(early))


def failed_section(facts: Facts) -> Html:
    """The files that failed, and why."""
    count = facts.count("failed")
    more = f"The first {len(facts.failed)} of {tell_count(count)}. " if count > len(facts.failed) else ""
    pairs = [(path_of(file.path, facts.source), _reason(file.reason)) for file in facts.failed]
    return section(
        "Files that failed",
        draw_pairs(pairs, MOST_SHOWN, "files that failed"),
        note=f"{more}No row of these files is in the tables.",
    )


def _reason(reason: str) -> Html:
    code, colon, text = reason.partition(": ")
    return join(tag("code", code), f" {text}") if colon else join(reason)


def faults_section(facts: Facts) -> Html:
    """Faults by code."""
    title = "Faults by code"
    if not facts.codes:
        return section(title, empty(_no_faults(facts)))
    most = facts.codes[0].count
    gauges = [
        Gauge(
            join(tag("i", class_=f"key {_kind(each)}", title=each.severity), tag("code", each.code)),
            tell_count(each.count),
            draw_bar(each.count, most, _kind(each)),
            _wheres(each),
        )
        for each in facts.codes
    ]
    kinds = sorted({(each.severity, _kind(each)) for each in facts.codes})
    keys = [tag("span", tag("i", class_=f"key {kind}"), severity) for severity, kind in kinds]
    return section(title, tag("p", *keys, class_="keys"), draw_gauges(gauges, MOST_SHOWN, "codes"))


def _no_faults(facts: Facts) -> str:
    if facts.tables is None or facts.stopped_chunk is not None:
        return "None in what is published so far."
    return "None: all that was read fits."


def _kind(each: CodeFacts) -> str:
    return "bad" if each.severity == "error" else "fair"


def _wheres(each: CodeFacts) -> str:
    if not each.wheres:
        return ""
    told = (
        tag("span", tag("code", where), f" {tell_count(count)}", class_="where")
        for where, count in each.wheres
    )
    return join("mostly in ", *told)


def faulty_section(facts: Facts) -> Html:
    """Faults by file, with the places of the first of each code."""
    title = "Faults by file"
    if not facts.faulty:
        only = bool(facts.failed and facts.codes)
        none = "Only in the files that failed, see above." if only else "No file with rows has a fault."
        return section(title, empty(none))
    count = facts.count("succeeded_with_faults")
    first = (
        f"The {MOST_FAULTY} files with most faults, of {tell_count(count)}. " if count > MOST_FAULTY else ""
    )
    note = (
        f"{first}Of each code the first {SPOTS_PER_CODE} places. Of values only the shape is shown: 9 is a "
        "digit, A a letter."
    )
    files = [tag("li", _faulty_file(file, facts, not at)) for at, file in enumerate(facts.faulty)]
    return section(title, fold(files, MOST_SHOWN, "files", "files"), note=note)


def _faulty_file(file: FileFacts, facts: Facts, is_open: bool) -> Html:
    codes = [
        tag("span", tag("code", code), f" {tell_count(count)}", class_="where") for code, count in file.codes
    ]
    moved = [tag("p", "now at ", path_of(file.archived_to), class_="codes")] if file.archived_to else []
    heads = (("at byte", "number"), ("what and where", "place"), ("why", "wide"))
    rows = (
        (
            _offset(spot),
            join(tag("code", spot.code), _line(spot.where)),
            join(spot.message, _line(spot.raw)),
        )
        for spot in file.spots
    )
    places = table(heads, rows) if file.spots else empty("Their rows are no longer in the table of errors.")
    return tag(
        "details",
        tag("summary", path_of(file.path, facts.source), tag("b", tell_count(file.faults, "fault"))),
        *([tag("p", *codes, class_="codes")] if codes else []),
        *moved,
        places,
        class_="file",
        open="" if is_open else None,
    )


def _offset(spot: Spot) -> Html:
    """Where the fault is; where its record begins, if that is elsewhere."""
    at = spot.record_offset if spot.byte_offset is None else spot.byte_offset
    told = join(ABSENT if at is None else tell_count(at))
    if spot.record_offset in (None, at):
        return told
    return join(told, tag("small", f"record {tell_count(spot.record_offset or 0)}", class_="line"))


def _line(text: str | None) -> Html:
    return tag("code", text, class_="line") if text else Html()


def tables_section(facts: Facts) -> Html:
    """Rows by table."""
    title = "Rows by table"
    if facts.tables is None:
        told = f" {tell_count(facts.rows, 'row')} of records are published so far." if facts.rows else ""
        return section(title, empty(f"A job tells them by table when it comes to its end.{told}"))
    records = [each for each in facts.tables if each.name not in OF_THE_JOB]
    if not records:
        return section(title, empty("No record was written."))
    gauges = [
        Gauge(tag("code", each.name), tell_count(each.rows), draw_bar(each.rows, records[0].rows))
        for each in records
    ]
    size = sum(each.size for each in facts.tables)
    files = sum(each.files for each in facts.tables)
    beside = [f"{tell_count(each.rows)} in {each.name}" for each in facts.tables if each.name in OF_THE_JOB]
    note = f"{tell_size(size)} of Parquet in {tell_count(files, 'file')}"
    note += f"; beside the records {' and '.join(beside)}." if beside else "."
    return section(title, draw_gauges(gauges, MOST_TABLES, "tables"), note=note)


def slowest_section(facts: Facts) -> Html:
    """The files that took longest."""
    title = "Slowest files"
    if facts.tables is None:
        return section(title, empty("A job tells them when it comes to its end."))
    if facts.slowest is None:
        told = "Nobody knows: Spark does not tell over Spark Connect, nor did earlier versions keep it."
        return section(title, empty(told))
    if not facts.slowest:
        return section(title, empty("No file was read."))
    most = facts.slowest[0].seconds
    gauges = [
        Gauge(
            path_of(file.path, facts.source),
            tell_seconds(file.seconds),
            draw_bar(file.seconds, most),
            _manner(file),
        )
        for file in facts.slowest
    ]
    note = (
        "Seconds of Spark's parse tasks, with reading and the start of a worker. Where a task read several "
        "files, they share its time by their bytes: such a time is an estimate."
    )
    return section(title, draw_gauges(gauges, MOST_SHOWN, "files"), note=note)


def _manner(file: SlowFile) -> str:
    told = [tell_size(file.size)]
    told += [tell_rate(file.size / file.seconds)] if file.seconds else []
    told += [f"in {tell_count(file.tasks)} tasks"] if file.tasks > 1 else []
    told += ["shared"] if file.shared else []
    return ", ".join(told)
