"""Find a request good before Spark starts: places that open, a dictionary that loads, options that work.

In: a checked request. Out: a `Prepared`, or what a run would read. Raises: RequestError, StoreError,
DictionaryError, which say what is wrong.
"""

import time
from dataclasses import dataclass

from al3spark.al3.archives import Limits
from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.config import REPROCESS_FAILED, Archive, BatchRequest
from al3spark.errors import RequestError
from al3spark.planning import Selection, drop_known, drop_young, list_inputs
from al3spark.spark.tasks import ParseTask
from al3spark.store.ledger import Ledger, load_ledger
from al3spark.store.places import Place, open_place
from al3spark.store.retrying import RetryPlan

PROBE = "_al3spark/probe"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose places and dictionary were found good, before Spark starts."""

    request: BatchRequest
    source: Place
    destination: Place
    dictionary: Dictionary
    archives: tuple[Place | None, Place | None] = (None, None)  # of what succeeded, of what failed

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
        )


def prepare(request: BatchRequest, writes: bool = True) -> Prepared:
    """Open both places and load the dictionary; with `writes`, see that the destination can be written.

    Raises: RequestError, StoreError, DictionaryError, which say what is wrong.
    """
    dictionary = load_dictionary(*request.options.dictionaries)
    source, destination = open_place(request.source.uri), open_place(request.destination.uri)
    _refuse_overlaps(request, source)
    archive = request.options.archive or Archive()
    archives = tuple(open_place(uri) if uri else None for uri in (archive.succeeded, archive.failed))
    if not request.source.files:
        next(iter(source.list_files(request.source.pattern)), None)
    for place in (destination, *filter(None, archives)) if writes else ():
        place.write_document(PROBE, b"")
        place.remove(PROBE)
    return Prepared(request, source, destination, dictionary, (archives[0], archives[1]))


def preview(prepared: Prepared) -> Selection:
    """Say what a run would read and what it would skip, as far as that shows without reading files."""
    return select_listed(prepared, load_ledger(prepared.destination))


def _refuse_overlaps(request: BatchRequest, source: Place) -> None:
    """Raise RequestError if a file that is read is, or will be, among those that are written."""
    archive = request.options.archive or Archive()
    written = {
        "destination": request.destination.uri,
        "archive": archive.succeeded,
        "archive of failed files": archive.failed,
    }
    for name, uri in written.items():
        if uri is None or not source.overlaps(place := open_place(uri)):
            continue
        files = [open_place(source.uri(each)) for each in request.source.files]
        if not files or any(file.overlaps(place) for file in files):
            raise RequestError(f"source and {name} overlap: {request.source.uri}, {uri}")


def select_listed(prepared: Prepared, ledger: Ledger) -> Selection:
    """Choose from a listing what to read, as far as that shows without reading files."""
    asked, options = prepared.request.source, prepared.request.options
    listed = list_inputs(prepared.source, asked.pattern, asked.files)
    known = drop_known(listed, ledger, options.reprocess == REPROCESS_FAILED)
    young = drop_young(known.files, options.min_age_s, time.time_ns())
    return Selection(young.files, known.skipped + young.skipped)
