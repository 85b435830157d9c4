"""Say what a dictionary lacks for a corpus: how much of it is described, by group and version.

In: a source and options. Out: a mapping for JSON, and lines for people. What lacks most bytes comes first.
Described are the header of a record, the bytes of its elements and a line end that its length counts; lacking
are gaps, what is longer than the layout, and the body of a record whose group has no layout.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession

from al3spark.al3.coverage import Seen
from al3spark.al3.dictionary import Dictionary, Layout, header_length
from al3spark.al3.totals import FileTotals
from al3spark.config import Options, Source
from al3spark.display import aligned
from al3spark.scanning import Report, plan_scan
from al3spark.spark.measuring import measure_files
from al3spark.spark.pipeline import add_parts

SHAPES = 3
LENGTHS = 4


def measure_source(source: Source, options: Options, spark: SparkSession, report: Report) -> dict[str, Any]:
    """Parse a source and give its coverage."""
    scan = plan_scan(source, options, spark)
    totals, seen = scan.run(
        spark, "al3spark-coverage", report, lambda task: measure_files(spark, task, scan.splits)
    )
    return describe_coverage(seen, scan.task.dictionary, add_parts(totals))


def describe_coverage(seen: Seen, dictionary: Dictionary, files: Sequence[FileTotals]) -> dict[str, Any]:
    """Put counts and layouts together."""
    titles = dict(dictionary.titles)
    kinds: dict[tuple[str, str], Counter[int]] = {}
    for (group, version, length), count in seen.records.items():
        kinds.setdefault((group, version), Counter())[length] += count
    groups = [
        _describe_group(group, version, lengths, seen, dictionary.layout(group), titles.get(group))
        for (group, version), lengths in kinds.items()
    ]
    groups.sort(key=lambda each: (-_lacking(each), each["group"], each["version"]))
    size = sum(each["bytes"] for each in groups)
    described = size - sum(map(_lacking, groups))
    return {
        "files": len(files),
        "failed": sum(1 for file in files if file.failed),
        "records": sum(each["records"] for each in groups),
        "cut_off": seen.cut_off,
        "bytes": size,
        "described_bytes": described,
        "described": _share(described, size),
        "groups": groups,
        "unmapped": list(_describe_unmapped(groups)),
        "gaps": list(_describe_gaps(seen, dictionary, groups)),
        "values": list(_describe_misfits(seen, dictionary)),
    }


def _describe_group(
    group: str, version: str, lengths: Counter[int], seen: Seen, layout: Layout | None, title: str | None
) -> dict[str, Any]:
    size = sum(length * count for length, count in lengths.items())
    gaps = sum(count * _gap_bytes(layout, length) for length, count in lengths.items()) if layout else 0
    extra = sum(seen.extra[group, version, length] for length in lengths)
    unmapped = 0 if layout else size - header_length(group) * lengths.total()
    return {
        "group": group,
        "version": version,
        "table": layout.table if layout else None,
        "name": title,
        "records": lengths.total(),
        "bytes": size,
        "described": _share(size - gaps - extra - unmapped, size),
        "gap_bytes": gaps,
        "extra_bytes": extra,
        "unmapped_bytes": unmapped,
        "layout_length": layout.length if layout else None,
        "lengths": [
            {"length": length, "records": count}
            for length, count in sorted(lengths.items(), key=lambda pair: (-pair[1], pair[0]))
        ],
    }


def _gap_bytes(layout: Layout, length: int) -> int:
    gaps = (element for element in layout.elements if element.kind == "gap")
    return sum(max(min(gap.end, length) - gap.start, 0) for gap in gaps)


def _lacking(group: Mapping[str, Any]) -> int:
    return int(group["gap_bytes"] + group["extra_bytes"] + group["unmapped_bytes"])


def _share(part: int, whole: int) -> float | None:
    """A share to six digits; 0 and 1 are nothing and all."""
    if part in (0, whole):
        return part / whole if whole else None
    return min(max(round(part / whole, 6), 1e-6), 1 - 1e-6)


def _describe_unmapped(groups: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for each in groups:
        if each["table"] is None:
            known = {"group": each["group"], "name": each["name"], "records": 0, "bytes": 0}
            one = found.setdefault(each["group"], known)
            one["records"] += each["records"]
            one["bytes"] += each["bytes"]
    yield from sorted(found.values(), key=lambda each: (-each["bytes"], each["group"]))


def _describe_gaps(
    seen: Seen, dictionary: Dictionary, groups: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Give the gaps that hold something, the fullest first."""
    records: Counter[str] = Counter()
    for each in groups:
        records[each["group"]] += each["records"]
    for (group, start), filled in sorted(seen.filled.items(), key=lambda pair: (-pair[1], pair[0])):
        layout = dictionary.layout(group)
        gap = next(each for each in layout.elements if each.start == start) if layout else None
        if gap:
            count = records[group]
            yield {"group": group, "start": start, "length": gap.length, "records": count, "filled": filled}


def _describe_misfits(seen: Seen, dictionary: Dictionary) -> Iterator[dict[str, Any]]:
    for misfit, count in sorted(seen.misfits.items(), key=lambda pair: (-pair[1], pair[0])):
        group, name, code = misfit
        layout = dictionary.layout(group)
        element = next((each for each in layout.elements if each.name == name), None) if layout else None
        shapes = sorted(seen.shapes.get(misfit, {}).items(), key=lambda pair: (-pair[1], pair[0]))
        yield {
            "group": group,
            "element": name,
            "element_id": (element.element_id or None) if element else None,
            "kind": element.kind if element else "integer",  # a number of the header
            "code": code,
            "count": count,
            "shapes": [shape for shape, _ in shapes[:SHAPES]],
        }


def coverage_lines(found: Mapping[str, Any]) -> list[str]:
    """Tell what was found."""
    lines = _table_lines(found["groups"])
    if found["gaps"]:
        lines += ["", "gaps that hold something", *_indented(map(_gap_cells, found["gaps"]))]
    if found["values"]:
        lines += ["", "values that do not fit", *_indented(map(_misfit_cells, found["values"]))]
    if found["unmapped"]:
        lines += ["", "groups without a layout", *_indented(map(_unmapped_cells, found["unmapped"]))]
    if found["cut_off"]:
        lines += ["", f"{found['cut_off']:,} records that the end of their file cuts off are not counted"]
    failed = f" ({found['failed']:,} failed, see `al3spark validate`)" if found["failed"] else ""
    return [
        *lines,
        *([""] if lines else []),
        f"{found['files']:,} files{failed}, {found['records']:,} records, {found['bytes'] / 1e6:,.1f} MB",
        f"described: {_percent(found['described'])}",
    ]


def _table_lines(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    if not groups:
        return []
    head = ("group", "version", "table", "records", "bytes", "described", "in gaps", "too long", "no layout")
    rows = [(*head, "layout", "lengths")]
    for each in groups:
        counts = (each["gap_bytes"], each["extra_bytes"], each["unmapped_bytes"])
        rows.append(
            (
                each["group"],
                each["version"] or "-",
                each["table"] or "-",
                f"{each['records']:,}",
                f"{each['bytes']:,}",
                _percent(each["described"]),
                *(f"{count:,}" if count else "-" for count in counts),
                str(each["layout_length"] or "-"),
                _some_lengths(each["lengths"]),
            )
        )
    return aligned(rows)


def _some_lengths(lengths: Sequence[Mapping[str, int]]) -> str:
    more = len(lengths) - LENGTHS
    shown = " ".join(str(each["length"]) for each in lengths[:LENGTHS])
    return f"{shown} and {more} more" if more > 0 else shown


def _gap_cells(gap: Mapping[str, Any]) -> tuple[str, ...]:
    end = gap["start"] + gap["length"] - 1
    return (gap["group"], f"{gap['start']}-{end}", f"in {gap['filled']:,} of {gap['records']:,} records")


def _misfit_cells(misfit: Mapping[str, Any]) -> tuple[str, ...]:
    place = f"{misfit['group']}.{misfit['element']}"
    what = f"no {misfit['kind']}" if misfit["code"] == "VALUE_INVALID" else "records end inside it"
    return (place, misfit["element_id"] or "-", what, f"{misfit['count']:,}", _shapes(misfit["shapes"]))


def _shapes(shapes: Sequence[str]) -> str:
    return " ".join(f"[{shape}]" for shape in shapes)


def _unmapped_cells(group: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        group["group"],
        f"{group['records']:,} records",
        f"{group['bytes']:,} bytes",
        group["name"] or "name not known",
    )


def _indented(rows: Iterator[tuple[str, ...]]) -> list[str]:
    return [f"  {line}" for line in aligned(list(rows))]


def _percent(share: float | None) -> str:
    """A share for people; what is not 0 or all is never told as if it were."""
    if share is None:
        return "nothing"
    if 0 < share < 0.001:
        return "< 0.1%"
    return "> 99.9%" if 0.999 < share < 1 else f"{share:.1%}"
