"""Parse all files of a source and write nothing: what the commands that only look have in common.

In: a source, options, and the work to be done. Promises: what is wrong with source and dictionary is told
before Spark starts; an interrupt cancels the work; files, archives and large files are dealt with as `ingest`
does; a file that kills its parser ends as a fault.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from pyspark.sql import SparkSession

from al3spark.al3.archives import Limits
from al3spark.al3.dictionary import load_dictionary
from al3spark.batch import MIB
from al3spark.config import Options, Source
from al3spark.display import ProgressLine
from al3spark.errors import TasksFailedError
from al3spark.planning import Selection, identify_inputs, list_inputs
from al3spark.preparing import make_access
from al3spark.reporting import Progress
from al3spark.spark.running import run_interruptibly, watch_tasks
from al3spark.spark.session import count_cores, open_session
from al3spark.spark.splits import Split, choose_split_bytes, pack_splits
from al3spark.spark.tasks import ParseTask
from al3spark.store.ledger import no_ledger
from al3spark.store.places import open_place

Result = TypeVar("Result")
Report = Callable[[Progress], None]
Work = Callable[[Source, Options, SparkSession, Report], Result]


@dataclass(frozen=True, slots=True)
class Scan:
    """What is to be parsed, and how."""

    task: ParseTask
    selection: Selection
    splits: tuple[Split, ...]

    def run(
        self, spark: SparkSession, name: str, report: Report, parse: Callable[[ParseTask], Result]
    ) -> Result:
        """Parse as the job `name` and tell how far it is; once more, file by file, if its tasks died."""
        try:
            with self._watch(spark, name, report):
                return parse(self.task)
        except TasksFailedError:
            with self._watch(spark, name, report):
                return parse(replace(self.task, isolated=True))

    @contextmanager
    def _watch(self, spark: SparkSession, name: str, report: Report) -> Iterator[None]:
        files = self.selection.files
        size = sum(file.size for file in files)

        def tell(part: float) -> None:
            report(Progress("parsing", len(files), size, part))

        with watch_tasks(spark, name, len(self.splits), tell):
            yield


def scan_source(source: Source, options: Options, work: Work[Result]) -> Result:
    """Open a session, do the work in it and show how far it is. Raises what the work raises."""
    load_dictionary(*options.dictionaries)  # here and below: what is wrong is told before Spark starts
    next(iter(open_place(source.uri).list_files(source.pattern)), None)
    with ProgressLine() as progress, open_session(options.master) as spark:
        return run_interruptibly(spark, lambda: work(source, options, spark, progress.show))


def plan_scan(source: Source, options: Options, spark: SparkSession) -> Scan:
    """List and identify the files of a source, and cut them into splits."""
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
    return Scan(task, selection, tuple(pack_splits(selection.files, split_bytes)))
