"""A bucket to run batches in, and its tables so that they compare with those from disk."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from al3spark.config import BatchRequest, Destination, Options, S3Access, Source
from al3spark.preparing import Prepared, prepare
from tests.batches import Tables, comparable, read_table


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket with `in/`, `tables/` and `done/`, and a folder to look at what is in it."""

    url: str
    name: str
    folder: Path

    @property
    def s3(self) -> Any:
        return boto3.client("s3", endpoint_url=self.url)

    def upload(self, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.s3.upload_file(str(path), self.name, f"in/{path.relative_to(folder)}")

    def ready(self, url: str = "", **options: Any) -> Prepared:
        """A checked request; `url`: another way to the same server."""
        access = S3Access(endpoint_url=url or self.url)
        source = Source(f"s3://{self.name}/in/", s3=access)
        destination = Destination(f"s3://{self.name}/tables/", s3=access)
        return prepare(BatchRequest(source, destination, Options(**options)))

    def download(self, prefix: str = "tables/") -> Path:
        """What is below a prefix, as a folder."""
        folder = self.folder / f"{prefix.rstrip('/')}-{time.monotonic_ns()}"
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        for each in (each for page in pages for each in page.get("Contents", ())):
            path = folder / each["Key"].removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.s3.download_file(self.name, each["Key"], str(path))
        return folder

    def uploads(self) -> list[str]:
        """Keys of uploads that are not completed."""
        return [each["Key"] for each in self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", ())]

    def request(self, folder: Path) -> Path:
        """A request document for the command."""
        access = {"type": "s3", "bucket": self.name, "endpoint_url": self.url}
        document = {"source": {**access, "prefix": "in/"}, "destination": {**access, "prefix": "tables/"}}
        path = folder / "request.json"
        path.write_text(json.dumps(document))
        return path


def tables_of(folder: Path, root: object) -> Tables:
    """All rows of all tables; without roots and versions, so that places compare."""
    start = f"{str(root).rstrip('/')}/"
    tables = {}
    for name in sorted(path.name for path in folder.iterdir() if not path.name.startswith("_")):
        table = read_table(folder, name)
        assert table is not None
        rows = comparable(table.drop_columns(["version"]) if name == "files" else table)
        tables[name] = sorted(
            (tuple(v.removeprefix(start) if isinstance(v, str) else v for v in row) for row in rows), key=repr
        )
    return tables
