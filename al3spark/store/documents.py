"""The small JSON documents of a destination: where they are and how they look.

In: mappings. Out: files below `_al3spark/jobs/<job_id>/`, and `_manifest.json` at the root: the last batch.
Promises: a document is replaced at once: a reader sees the old one or the new one; what is not JSON is a
StoreError.
Leaves to others: what a status or a manifest says. Plans are in publish.py, the lock in lock.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from al3spark.errors import StoreError
from al3spark.store.places import Place

JOBS = "_al3spark/jobs"
ROOT_MANIFEST = "_manifest.json"


def new_job_id(now: datetime, token: str) -> str:
    """For example batch-20260102-abc123, of a time and a token that no other job of that day has."""
    return f"batch-{now:%Y%m%d}-{token}"


def job_folder(job_id: str) -> str:
    """Where the documents of a job are."""
    return f"{JOBS}/{job_id}"


def list_jobs(place: Place) -> tuple[str, ...]:
    """All jobs that have a document here, by name, so the days are in order."""
    start = len(JOBS) + 1
    return tuple(sorted({name[start:].partition("/")[0] for name in place.list_names(f"{JOBS}/")}))


def write_status(place: Place, job_id: str, status: Mapping[str, Any]) -> None:
    """Replace the status of a job."""
    place.write_document(f"{job_folder(job_id)}/status.json", to_json(status))


def read_status(place: Place, job_id: str) -> dict[str, Any] | None:
    """The status of a job, None if it has none."""
    return read_document(place, f"{job_folder(job_id)}/status.json")


def write_manifest(place: Place, job_id: str, manifest: Mapping[str, Any]) -> None:
    """Replace the manifest of a job, and then the one at the root."""
    data = to_json(manifest)
    place.write_document(f"{job_folder(job_id)}/manifest.json", data)
    place.write_document(ROOT_MANIFEST, data)


def read_manifest(place: Place, job_id: str | None = None) -> dict[str, Any] | None:
    """The manifest of a job, or of the last one that wrote one; None if there is none."""
    return read_document(place, f"{job_folder(job_id)}/manifest.json" if job_id else ROOT_MANIFEST)


def read_document(place: Place, name: str) -> dict[str, Any] | None:
    """Any document; None: there is none; {}: its writer died at once. StoreError: no JSON object."""
    data = place.read(name)
    if not data:
        return None if data is None else {}
    try:
        document = json.loads(data)
    except ValueError as error:
        raise StoreError(f"{place.uri(name)}: not JSON ({error})") from error
    if not isinstance(document, dict):
        raise StoreError(f"{place.uri(name)}: not a JSON object")
    return document


def to_json(document: Mapping[str, Any]) -> bytes:
    """A document as bytes, for people too: indented, ending in a newline."""
    return json.dumps(document, indent=2).encode() + b"\n"
