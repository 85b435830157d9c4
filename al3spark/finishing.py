"""What is done when a batch has ended: the catalog is brought up to date, and people are told.

In: a prepared request and how the batch ended. Out: what went wrong, a line each. Promises: nothing of it
fails a batch.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from al3spark.catalogs.catalog import register_tables
from al3spark.config import OnFinish
from al3spark.errors import Al3Error, StoreError
from al3spark.preparing import Prepared
from al3spark.reporting import run_hook
from al3spark.store.documents import job_folder
from al3spark.store.lock import Lock
from al3spark.store.topics import publish_message


@contextmanager
def updating_catalog(prepared: Prepared, lock: Lock, tell: Callable[[str], None]) -> Iterator[None]:
    """Update the catalog after a block, even one that breaks off, unless the lock was lost."""
    try:
        yield
    finally:
        if not lock.lost:  # chunks may be published; whoever has the lock does the same
            for trouble in _update_catalog(prepared):
                tell(trouble)


def _update_catalog(prepared: Prepared) -> Iterator[str]:
    """Register tables and new partitions with the Glue database of the request, if it names one."""
    request = prepared.request
    if request.options.glue_database:
        region = request.destination.s3.region if request.destination.s3 else None
        try:
            register_tables(prepared.destination, request.options.glue_database, region)
        except Al3Error as error:
            yield f"glue_database: {error}"


def tell_end(prepared: Prepared, job_id: str, status: str) -> Iterator[str]:
    """Run the command and tell the topic of `on_finish`."""
    asked = prepared.request.options.on_finish or OnFinish()
    where = prepared.destination.uri(f"{job_folder(job_id)}/manifest.json")
    if asked.command and (trouble := run_hook(asked.command, job_id, status, where)):
        yield trouble
    if asked.sns_topic_arn:
        told = json.dumps({"job_id": job_id, "status": status, "manifest": where})
        try:
            publish_message(asked.sns_topic_arn, f"al3spark {job_id}: {status}", told)
        except StoreError as error:
            yield f"on_finish: {error}"
