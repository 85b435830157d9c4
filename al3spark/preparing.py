"""Find a request good before Spark starts: places that open, a dictionary that loads and fits what is there.

In: a checked request. Out: a `Prepared`, or what a run would read. Raises: RequestError, StoreError,
DictionaryError, which say what is wrong.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from al3spark.al3.archives import Limits
from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.catalogs.catalog import check_place
from al3spark.catalogs.evolution import check_evolution
from al3spark.catalogs.schemas import Planned, plan_tables
from al3spark.config import REPROCESS_FAILED, Archive, BatchRequest, Options, S3Access
from al3spark.errors import RequestError
from al3spark.planning import Selection, drop_known, drop_young, list_inputs
from al3spark.protection import protect_as_asked
from al3spark.spark.tasks import ParseTask
from al3spark.store.calls import Access
from al3spark.store.ledger import Ledger, load_ledger
from al3spark.store.places import Place, open_place
from al3spark.store.retrying import RetryPlan

PROBE = "_al3spark/probe"
LEAST_ATTEMPTS = 5  # of calls that a whole job depends on


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose places and dictionary were found good, before Spark starts."""

    request: BatchRequest
    source: Place
    destination: Place
    dictionary: Dictionary
    archives: tuple[Place | None, Place | None] = (None, None)  # of what succeeded, of what failed

    @property
    def partition_by(self) -> tuple[str, ...]:
        """What folders below the day stand for."""
        return tuple(dict.fromkeys(self.request.options.partition_by))

    @property
    def tables(self) -> Planned:
        """The columns of every table that the run can write."""
        return plan_tables(self.dictionary, self.partition_by)

    @property
    def readable_places(self) -> tuple[Place, ...]:
        """Where files of earlier jobs can be: the source and the archives."""
        return (self.source, *(place for place in self.archives if place))

    @property
    def parse_task(self) -> ParseTask:
        """What parse tasks need to know."""
        options = self.request.options
        return ParseTask(
            self.source,
            self.dictionary,
            options.century_pivot,
            options.window_kib << 10,
            Limits(),
            RetryPlan(options.max_attempts, options.retry_delay_s),
            partition_by=self.partition_by,
        )


def prepare(request: BatchRequest, writes: bool = True) -> Prepared:
    """Open both places and load the dictionary; with `writes`, see that the destination can be written.

    Raises: RequestError, StoreError, DictionaryError, which say what is wrong.
    """
    dictionary = protect_as_asked(load_dictionary(*request.options.dictionaries), request.options)
    source_access = make_access(request.source.s3, request.options)
    source = open_place(request.source.uri, source_access)
    destination = open_place(request.destination.uri, make_access(request.destination.s3, request.options))
    archive = request.options.archive or Archive()
    succeeded, failed = (
        open_place(uri, source_access) if uri else None for uri in (archive.succeeded, archive.failed)
    )
    written = {
        "destination": (destination, request.destination.uri),
        "archive": (succeeded, archive.succeeded),
        "archive of failed files": (failed, archive.failed),
    }
    for name, (place, uri) in written.items():
        if place and _overlap(source, request.source.files, place):
            raise RequestError(f"source and {name} overlap: {request.source.uri}, {uri}")
    if not request.source.files:
        next(iter(source.list_files(request.source.pattern)), None)
    for place in filter(None, (destination, succeeded, failed)) if writes else ():
        _try_to_write(place, request.options.no_lock or place is not destination)
    if request.options.glue_database:
        check_place(destination)
    prepared = Prepared(request, source, destination, dictionary, (succeeded, failed))
    check_evolution(destination, prepared.tables)
    return prepared


def preview(prepared: Prepared) -> Selection:
    """Say what a run would read and what it would skip, as far as that shows without reading files."""
    return select_listed(prepared, load_ledger(prepared.destination))


def make_access(asked: S3Access | None, options: Options) -> Access:
    """Say how a bucket is reached."""
    retry = RetryPlan(max(options.max_attempts, LEAST_ATTEMPTS), options.retry_delay_s)
    return Access(**asdict(asked or S3Access()), retry=retry)


def _overlap(source: Place, names: Sequence[str], other: Place) -> bool:
    """Whether a file that is read is, or will be, among those that are written."""
    if not source.overlaps(other):
        return False
    return not names or any(open_place(source.uri(name)).overlaps(other) for name in names)


def _try_to_write(place: Place, unconditionally: bool) -> None:
    """Write and remove a document. RequestError: the place ignores the condition that it must be new."""
    probe = f"{PROBE}-{uuid.uuid4().hex}"
    holds = place.create_document(probe, b"1") and not place.create_document(probe, b"2")
    place.remove(probe)
    if not (holds or unconditionally):
        raise RequestError(
            f"{place.uri('')}: ignores conditional writes, so that nothing keeps two jobs apart; if you see "
            f"to that yourself, --no-lock allows it"
        )


def select_listed(prepared: Prepared, ledger: Ledger) -> Selection:
    """Choose from a listing what to read, as far as that shows without reading files."""
    asked, options = prepared.request.source, prepared.request.options
    listed = list_inputs(prepared.source, asked.pattern, asked.files)
    known = drop_known(listed, ledger, options.reprocess == REPROCESS_FAILED)
    young = drop_young(known.files, options.min_age_s, time.time_ns())
    return Selection(young.files, known.skipped + young.skipped)
