"""Parse as `ingest` does and write nothing: which faults there are, how many, where the first ones are."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession

from al3spark.al3.faults import ERROR, KINDS
from al3spark.config import Options, Source
from al3spark.reporting import Progress
from al3spark.scanning import plan_scan
from al3spark.spark.pipeline import add_parts, validate_files

PLACES = 3


def validate_source(
    source: Source, options: Options, spark: SparkSession, report: Callable[[Progress], None]
) -> dict[str, Any]:
    """Give faults by code with their first places, and counts of files, records and errors."""
    scan = plan_scan(source, options, spark)
    totals, faults = scan.run(
        spark, "al3spark-validate", report, lambda task: validate_files(spark, task, scan.splits, PLACES)
    )
    counts: Counter[str] = Counter()
    files = add_parts(totals)
    for file in files:
        counts.update(dict(file.fault_counts))
    places: dict[str, list[dict[str, Any]]] = {}
    for row in faults.to_pylist():
        places.setdefault(row["code"], []).append(row)
    return {
        "files": len(files),
        "records": sum(file.records for file in files),
        "errors": sum(count for code, count in counts.items() if KINDS[code].severity == ERROR),
        "faults": {
            code: {"severity": KINDS[code].severity, "count": count, "places": places.get(code, [])[:PLACES]}
            for code, count in sorted(counts.items())
        },
    }
