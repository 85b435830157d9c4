"""Parse as `ingest` does and write nothing: which faults there are, how many, where the first ones are."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession

from al3spark.al3.archives import Limits
from al3spark.al3.dictionary import load_dictionary
from al3spark.al3.faults import ERROR, KINDS
from al3spark.batch import MIB
from al3spark.config import Options, Source
from al3spark.planning import identify_inputs, list_inputs
from al3spark.preparing import make_access
from al3spark.reporting import Progress
from al3spark.spark.pipeline import add_parts, validate_files
from al3spark.spark.running import watch_tasks
from al3spark.spark.session import count_cores
from al3spark.spark.splits import choose_split_bytes, pack_splits
from al3spark.spark.tasks import ParseTask
from al3spark.store.ledger import no_ledger
from al3spark.store.places import open_place

PLACES = 3


def validate_source(
    source: Source, options: Options, spark: SparkSession, report: Callable[[Progress], None]
) -> dict[str, Any]:
    """Give faults by code with their first places, and counts of files, records and errors."""
    place = open_place(source.uri, make_access(source.s3, options))
    task = ParseTask(
        place,
        load_dictionary(*options.dictionaries),
        options.century_pivot,
        options.window_kib << 10,
        Limits(),
    )
    listed = list_inputs(place, source.pattern, source.files)
    split_bytes = choose_split_bytes(listed, count_cores(spark), options.split_mib * MIB)
    selection = identify_inputs(spark, task, listed, no_ledger(), again=False, part_bytes=split_bytes)
    splits = pack_splits(selection.files, split_bytes)
    size = sum(file.size for file in selection.files)

    def tell(part: float) -> None:
        report(Progress("parsing", len(selection.files), size, part))

    with watch_tasks(spark, "al3spark-validate", len(splits), tell):
        totals, faults = validate_files(spark, task, splits, PLACES)
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
