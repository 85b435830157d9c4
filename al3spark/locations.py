"""Where a request reads and writes: the objects `source` and `destination` of a document.

In: JSON objects. Out: `Source` and `Destination`, or problems that are noted. Promises: a path below a mount
point does not leave it, by `..` or by a link, and the mount point is one; files that are named are below the
source. Leaves to others: whether anything is there.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from al3spark.config import PARQUET, Destination, S3Access, Source
from al3spark.errors import RequestError, StoreError
from al3spark.options import Option, Problems, Text, describe, read_values, show, suggest
from al3spark.store.places import open_place

_S3 = re.compile(r"s3[an]?://([^/]+)(/.*)?", re.DOTALL)
_PATH = Text(".+", "a path")
_ABSOLUTE = Text("/.*", "an absolute path")

URI = Option("uri", str, MISSING, "A path or URI, instead of a type.", Text(".+", "a path or URI"))
FILES = Option("files", tuple, (), "Read only these: a list, or the URI of a document with one a line.")
_TYPE = Option("type", str, None, "What kind of place it is.")
_MOUNTED = Option("path", str, MISSING, "`nfs`, `efs`: the folder or file, in the mount.", _PATH)
TYPES: dict[str, tuple[Option, ...]] = {
    "local": (Option("path", str, MISSING, "`local`: the folder or file.", _PATH),),
    "nfs": (
        Option("mount_point", str, MISSING, "`nfs`: where the file system is mounted.", _ABSOLUTE),
        _MOUNTED,
    ),
    "efs": (
        Option(
            "file_system_id",
            str,
            MISSING,
            "`efs`: the file system.",
            Text("fs-[0-9a-z]+", "an id like fs-0a1b2c"),
        ),
        Option(
            "mount_point",
            str,
            None,
            "`efs`: where it is mounted.",
            _ABSOLUTE,
            "`efs`: `/mnt/efs/<file_system_id>`",
        ),
        _MOUNTED,
    ),
    "s3": (
        Option(
            "bucket",
            str,
            MISSING,
            "`s3`: the bucket.",
            Text("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a name of a bucket"),
        ),
        Option("prefix", str, "", "`s3`: how the keys begin."),
        *describe(S3Access),
    ),
}


@dataclass(frozen=True, slots=True)
class _Location:
    uri: str
    mount_point: str = ""
    s3: S3Access | None = None


def read_source(document: object, problems: Problems) -> Source | None:
    """Read where files come from; None if that has a problem."""
    noted = len(problems.found)
    values = _read_object("source", _load_files(document, problems), (*describe(Source), FILES), problems)
    if "files" in values:
        if not values["files"]:
            problems.add("source.files", "names no file")
        if "pattern" in values:
            problems.add("source.pattern", "is for folders; source.files names what is read")
    if len(problems.found) > noted:
        return None
    location = _locate("source", values, problems)
    names: tuple[str, ...] = ()
    if "files" in values:
        uri, names = _name_files(location.uri if location else None, values["files"], problems)
        location = replace(location or _Location(""), uri=uri)
    if location is None or len(problems.found) > noted:
        return None
    return Source(location.uri, values.get("pattern", "*"), names, location.mount_point, location.s3)


def read_destination(document: object, problems: Problems) -> Destination | None:
    """Read where tables go; None if that has a problem."""
    noted = len(problems.found)
    values = _read_object("destination", document, describe(Destination), problems)
    location = _locate("destination", values, problems) if len(problems.found) == noted else None
    if location is None or len(problems.found) > noted:
        return None
    return Destination(location.uri, values.get("format", PARQUET), location.mount_point, location.s3)


def read_text(uri: str) -> str:
    """Read a small UTF-8 document by its path or URI. RequestError: there is none."""
    try:
        place = open_place(uri)
        files = list(islice(place.list_files(recursive=False), 2))
        data = place.read(files[0].name) if len(files) == 1 else None
    except StoreError as error:
        raise RequestError(str(error)) from error
    if data is None:
        raise RequestError(f"{uri}: not one file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"{uri}: not UTF-8 at byte {error.start}") from error


def _load_files(document: object, problems: Problems) -> object:
    """Put the lines of a list of files in its place."""
    if not isinstance(document, dict) or not isinstance(document.get("files"), str):
        return document
    try:
        lines = read_text(document["files"]).split("\n")
    except RequestError as error:
        problems.add("source.files", f"cannot be read: {error}")
        return document | {"files": [document["files"]]}  # stands in, so that the rest is checked
    return document | {"files": [line.rstrip("\r") for line in lines if line.strip()]}


def _read_object(where: str, document: object, own: Sequence[Option], problems: Problems) -> dict[str, Any]:
    """Read the keys of a type of place, and the `own` ones that do not depend on it."""
    kinds = ", ".join(TYPES)
    if not isinstance(document, dict):
        told = "is missing" if document is None else f"is {show(document)}"
        problems.add(where, f"{told}; valid: an object with a type ({kinds}) or a uri")
        return {}
    kind = document.get("type")
    if kind is None:
        uri = document.get("uri")
        keys = (URI, *describe(S3Access)) if isinstance(uri, str) and _S3.fullmatch(uri) else (URI,)
        if "uri" not in document and FILES in own and "files" in document:
            keys = ()
    elif isinstance(kind, str) and kind in TYPES:
        keys = TYPES[kind]
    else:
        problems.add(f"{where}.type", f"is {show(kind)}; {suggest(str(kind), tuple(TYPES))}")
        return {}
    return read_values(where, document, (_TYPE, *keys, *own), problems)


def _locate(where: str, values: dict[str, Any], problems: Problems) -> _Location | None:
    """Say where a place is; None if it is not said."""
    access = {each.name: values[each.name] for each in describe(S3Access) if each.name in values}
    kind = values.get("type")
    if kind is None:
        uri = values.get("uri")
        return _Location(uri, s3=S3Access(**access) if _S3.fullmatch(uri) else None) if uri else None
    if kind == "s3":
        return _Location(f"s3://{values['bucket']}/{values.get('prefix', '')}", s3=S3Access(**access))
    if kind == "local":
        return _Location(_absolute(values["path"]))
    mount = os.path.normpath(values.get("mount_point") or f"/mnt/efs/{values['file_system_id']}")
    path = os.path.normpath(f"{mount}/{values['path'].lstrip('/')}")
    if not os.path.ismount(os.path.realpath(mount)):
        told = "is not a mount" if Path(mount).exists() else "does not exist"
        problems.add(f"{where}.mount_point", f"{mount} {told}; mount the file system there, on all nodes")
    elif not (_is_below(path, mount) and _is_below(os.path.realpath(path), os.path.realpath(mount))):
        problems.add(f"{where}.path", f"is {show(values['path'])}, which leads out of {mount}")
    return _Location(path, mount)


def _name_files(base: str | None, files: Sequence[str], problems: Problems) -> tuple[str, tuple[str, ...]]:
    """Give a folder and the names below it of some files; without a base the closest folder."""
    bucket, folder = _split(base, "", "/") if base else ("", str(Path.cwd()))
    paths = list(dict.fromkeys(_split(file, bucket, folder) for file in files))
    if base is None:
        bucket = paths[0][0]
        folder = "/" if bucket else os.path.commonpath([path.rpartition("/")[0] or "/" for _, path in paths])
    top = folder.rstrip("/") + "/"
    outside = [(root, path) for root, path in paths if root != bucket or not path.startswith(top)]
    uri = f"s3://{bucket}{folder}" if bucket else folder
    if outside:
        first = f"s3://{outside[0][0]}{outside[0][1]}" if outside[0][0] else outside[0][1]
        problems.add("source.files", f"names {len(outside)} not below {uri}, as {first}")
    return uri, tuple(path[len(top) :] for _, path in paths)


def _split(uri: str, bucket: str, folder: str) -> tuple[str, str]:
    """A file as its bucket, '' on disks, and its absolute path; a relative one counts from a folder."""
    if s3 := _S3.fullmatch(uri):
        return s3[1], s3[2] or "/"
    if bucket:
        return bucket, f"{folder.rstrip('/')}/{uri}"
    path = unquote(urlsplit(uri).path) if uri.startswith("file:") else uri
    return "", os.path.normpath(path if path.startswith("/") else f"{folder}/{path}")


def _absolute(path: str) -> str:
    return os.path.normpath(Path.cwd() / path)


def _is_below(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)
