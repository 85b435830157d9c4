"""One database of the AWS Glue Data Catalog, by boto3 alone: its tables and their partitions.

In: tables and partitions as Glue's API takes them. Out: what is there. Promises: partitions go in batches of
as many as one call takes, and one that somebody else has added meanwhile is fine; what Glue refuses is a
StoreError of one line. What waiting can help is tried again by the AWS SDK.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from al3spark.errors import StoreError

BATCH = 100
ATTEMPTS = 8
MISSING, THERE = "EntityNotFoundException", "AlreadyExistsException"
# What of a table that is there goes back when it is updated, and of a partition.
_OF_A_TABLE = (
    "Name",
    "Description",
    "Owner",
    "LastAccessTime",
    "LastAnalyzedTime",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "ViewOriginalText",
    "ViewExpandedText",
    "TableType",
    "Parameters",
    "TargetTable",
)
_OF_A_PARTITION = ("Values", "LastAccessTime", "StorageDescriptor", "Parameters", "LastAnalyzedTime")

Described = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GlueDatabase:
    """A database and the SDK's client to it; for several threads at once."""

    name: str
    client: Any

    def list_tables(self) -> dict[str, Described]:
        """All tables by name."""
        with self._errors():
            pages = self.client.get_paginator("get_tables").paginate(DatabaseName=self.name)
            return {table["Name"]: table for page in pages for table in page["TableList"]}

    def find_table(self, name: str) -> Described | None:
        """A table as it is now; None if it is not there."""
        with self._errors():
            pages = self.client.get_paginator("get_tables").paginate(DatabaseName=self.name, Expression=name)
            found = (table for page in pages for table in page["TableList"])
            return next((table for table in found if table["Name"] == name), None)

    def create_table(self, table: Described) -> bool:
        """Add a table; False if somebody else has added it meanwhile."""
        try:
            with self._errors():
                self.client.create_table(DatabaseName=self.name, TableInput=table)
        except StoreError as error:
            if error.code != THERE:
                raise
            return False
        return True

    def update_table(self, table: Described) -> None:
        """Replace a table that is there by what it is to be, as `list_tables` gives it."""
        with self._errors():
            self.client.update_table(DatabaseName=self.name, TableInput=_only(table, _OF_A_TABLE))

    def list_partitions(self, table: str, columns: bool = False) -> list[Described]:
        """All partitions of a table; `columns`: with the columns of each."""
        asked = {"DatabaseName": self.name, "TableName": table, "ExcludeColumnSchema": not columns}
        with self._errors():
            pages = self.client.get_paginator("get_partitions").paginate(**asked)
            return [partition for page in pages for partition in page["Partitions"]]

    def add_partitions(self, table: str, partitions: Sequence[Described]) -> None:
        """Add partitions to a table."""
        for part in _batches(partitions):
            with self._errors():
                answer = self.client.batch_create_partition(
                    DatabaseName=self.name, TableName=table, PartitionInputList=part
                )
            self._check(table, answer)

    def update_partitions(self, table: str, partitions: Sequence[Described]) -> None:
        """Replace partitions of a table, as `list_partitions` gives them."""
        for part in _batches(partitions):
            entries = [
                {"PartitionValueList": each["Values"], "PartitionInput": _only(each, _OF_A_PARTITION)}
                for each in part
            ]
            with self._errors():
                answer = self.client.batch_update_partition(
                    DatabaseName=self.name, TableName=table, Entries=entries
                )
            self._check(table, answer)

    def _check(self, table: str, answer: Described) -> None:
        """Raise for what of a batch was refused."""
        for each in answer.get("Errors", ()):
            told = each["ErrorDetail"]
            if told["ErrorCode"] != THERE:
                values = each.get("PartitionValues", each.get("PartitionValueList", ()))
                raise StoreError(
                    f"Glue table {self.name}.{table}, partition {'/'.join(values)}: {told['ErrorCode']}: "
                    f"{' '.join(str(told.get('ErrorMessage', '')).split())}",
                    code=told["ErrorCode"],
                )

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            hint = f"; `aws glue create-database --database-input Name={self.name}` makes one"
            told = " ".join(str(error).split())
            raise StoreError(
                f"Glue database {self.name}: {told}{hint if code == MISSING else ''}", code=code
            ) from error
        except BotoCoreError as error:
            raise StoreError(f"Glue database {self.name}: {' '.join(str(error).split())}") from error


def open_database(name: str, region: str | None = None) -> GlueDatabase:
    """A database by its name. `region`: None as the AWS SDK finds it, or where this machine of EC2 is.

    StoreError: no region is found.
    """
    import boto3
    from botocore.config import Config
    from botocore.session import Session
    from botocore.utils import IMDSRegionProvider

    session = Session()
    region = region or session.get_config_variable("region") or IMDSRegionProvider(session).provide()
    if not region:
        raise StoreError(
            f"Glue database {name}: no AWS region is known; AWS_REGION in the environment names it"
        )
    config = Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS}, connect_timeout=10)
    client = boto3.session.Session(botocore_session=session).client("glue", region, config=config)
    return GlueDatabase(name, client)


def _only(described: Described, names: Sequence[str]) -> dict[str, Any]:
    return {name: described[name] for name in names if name in described}


def _batches(partitions: Sequence[Described]) -> Iterator[Sequence[Described]]:
    for start in range(0, len(partitions), BATCH):
        yield partitions[start : start + BATCH]
