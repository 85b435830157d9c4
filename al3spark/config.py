"""What a run is asked: source, destination and options as one frozen value, checked when it is made.

Every option is described once, here, by its field: type, default, meaning, valid values (see options.py).
Raises: RequestError, with all problems at once. Leaves to others: documents and flags (requests.py), and
whether a place is there (batch.py).
"""

from dataclasses import dataclass, field
from datetime import date

from al3spark.al3.dictionary import PARTITION_COLUMNS
from al3spark.options import Range, Text, Words, about, check

REPROCESS_FAILED = "failed"
CONTINUE, FAIL = "continue", "fail"
ADD, REPLACE = "add", "replace"
PARQUET, CSV = "parquet", "csv"
PII_RULE = r"untyped=(keep|drop)|(?!untyped=)[a-z][a-z0-9_]*=(keep|mask|hash|drop)"


@dataclass(frozen=True, slots=True)
class S3Access:
    """How a bucket is reached. None: as the AWS SDK finds it out."""

    region: str | None = field(
        default=None, metadata=about("`s3`: its region.", Text(".+", "a region"), "as the AWS SDK finds it")
    )
    endpoint_url: str | None = field(
        default=None, metadata=about("`s3`: its server.", Text("https?://.+", "a URL"), "that of AWS")
    )
    path_style: bool = field(
        default=False, metadata=about("`s3`: name the bucket in the path of a URL, not in its host.")
    )
    anonymous: bool = field(default=False, metadata=about("`s3`: do not sign, for public buckets."))
    request_payer: bool = field(default=False, metadata=about("`s3`: the caller pays."))
    sse: str | None = field(
        default=None,
        metadata=about(
            "`s3`: how what is written is encrypted.", Words(("AES256", "aws:kms")), "as the bucket says"
        ),
    )
    sse_kms_key_id: str | None = field(
        default=None,
        metadata=about("`s3`: the key for aws:kms.", Text(".+", "a key id or ARN"), "that of the bucket"),
    )


@dataclass(frozen=True, slots=True)
class Source:
    """Where AL3 files are: a folder or one file, by path or URI.

    `files`: names below it, where not all are to be read. `mount_point`: "" where nobody named one.
    """

    uri: str
    pattern: str = field(
        default="*",
        metadata=about(
            "Glob for names, or for whole paths if it holds a /.",
            Text(".+", "a glob; * takes every file"),
            metavar="GLOB",
        ),
    )
    files: tuple[str, ...] = ()
    mount_point: str = ""
    s3: S3Access | None = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where tables are written: a folder, by path or URI."""

    uri: str
    format: str = field(
        default=PARQUET,
        metadata=about(
            "What tables are written as; csv: as Parquet, and at the end once more as CSV files in a zip.",
            Words((PARQUET, CSV)),
        ),
    )
    mount_point: str = ""
    s3: S3Access | None = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class Archive:
    """Where source files go when they are done, by path or URI; None: they stay."""

    succeeded: str | None = field(
        default=None, metadata=about("Where files go that were ingested.", Text(".+", "a path or URI"))
    )
    failed: str | None = field(
        default=None,
        metadata=about("Where files go that failed, with their faults.", Text(".+", "a path or URI")),
    )


@dataclass(frozen=True, slots=True)
class OnFinish:
    """Who is told when a job has ended."""

    command: tuple[str, ...] = field(
        default=(), metadata=about("Command to run when the job has ended: a list of words.")
    )
    sns_topic_arn: str | None = field(
        default=None,
        metadata=about(
            "Amazon SNS topic to tell when the job has ended.",
            Text("arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]+:.+", "the ARN of a topic"),
            "none",
        ),
    )


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is done."""

    dictionaries: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "Lay the groups.csv and elements.csv of a folder over the starter dictionary; repeatable.",
            flag_name="dictionary",
            metavar="DIR",
        ),
    )
    century_pivot: int = field(
        default=50, metadata=about("Two-digit years above it are 19yy, others 20yy.", Range(0, 99))
    )
    split_mib: int = field(default=64, metadata=about("How much input one task gets at most.", Range(1, 128)))
    chunk_mib: int | None = field(
        default=None,
        metadata=about(
            "How much input is published at once.", Range(1), "the larger of 4096 and four splits a core"
        ),
    )
    window_kib: int = field(
        default=4096, metadata=about("How much of a file is read at a time.", Range(4, 65536))
    )
    master: str | None = field(
        default=None,
        metadata=about(
            "Spark master; under spark-submit the cluster's is used.",
            Text(".+", "a Spark master"),
            "local[*,4]",
            metavar="URL",
        ),
    )
    parallelism: int | None = field(
        default=None,
        metadata=about("Cores of a session that the job starts itself.", Range(1), "all there are"),
    )
    min_age_s: int = field(
        default=60,
        metadata=about(
            "Files on disks that changed in the last so many seconds wait for the next run.", Range(0)
        ),
    )
    ingest_date: date | None = field(
        default=None, metadata=about("Partition to write.", unset="today, UTC", metavar="YYYY-MM-DD")
    )
    partition_by: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "Make folders by what transactions are about, below those by day; repeatable.",
            Words(PARTITION_COLUMNS),
            "by day only",
        ),
    )
    max_partitions: int = field(
        default=500,
        metadata=about("How many of these folders a table may get by one chunk, else it stops.", Range(1)),
    )
    reprocess: str | None = field(
        default=None,
        metadata=about(
            "Take up again the files that failed earlier, or those of a job.",
            Text(r"failed|batch-\d{8}-\w+", "failed, or a job like batch-20260102-abc123"),
            "what is new only",
            metavar="failed|JOB",
        ),
    )
    on_changed: str = field(
        default=ADD,
        metadata=about(
            "Rows of a file whose content changed: beside the older rows, or in their place.",
            Words((ADD, REPLACE)),
        ),
    )
    on_error: str = field(
        default=CONTINUE,
        metadata=about(
            "When a file failed: go on, or stop and publish nothing of its chunk.", Words((CONTINUE, FAIL))
        ),
    )
    max_failed_files: int | None = field(
        default=None, metadata=about("Stop when more files failed.", Range(0), "no limit")
    )
    max_failed_ratio: float | None = field(
        default=None,
        metadata=about(
            "Stop when a larger part of the files failed; counts from 20 files on.", Range(0, 1), "no limit"
        ),
    )
    max_attempts: int = field(
        default=5,
        metadata=about("How often a call to a store is tried, where waiting can help.", Range(1, 100)),
    )
    retry_delay_s: float = field(
        default=0.5, metadata=about("Wait before the second attempt; it doubles with each.", Range(0, 60))
    )
    pii: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "What becomes of values that identify people, by tag: keep, mask, hash or drop; and of what can "
            'hold anything (untyped): keep or drop. A document has an object, {"ssn": "hash"}; repeatable.',
            unset="mask for ssn, driver_license, bank_account and secret, else keep",
            metavar="TAG=ACTION",
        ),
    )
    pii_key: str | None = field(
        default=None,
        metadata=about(
            "Where the key for hashed values is: a variable of the driver's environment, or a secret of AWS "
            "Secrets Manager.",
            Text("(env|secretsmanager):.+", "env:NAME or secretsmanager:SECRET_ID"),
            "none",
            metavar="env:NAME|secretsmanager:ID",
        ),
    )
    archive: Archive | None = field(
        default=None,
        metadata=about(
            "Move ingested files there; a document can name two places, succeeded and failed.",
            unset="they stay",
            metavar="URI",
        ),
    )
    on_finish: OnFinish | None = field(
        default=None,
        metadata=about(
            "Command to run when the job has ended; a document can name a command and a topic.",
            unset="nobody is told",
            metavar="COMMAND",
        ),
    )
    glue_database: str | None = field(
        default=None,
        metadata=about(
            "AWS Glue database with which tables and new partitions are registered when the job has ended.",
            Text("[A-Za-z0-9_-]{1,255}", "a name of a database"),
            "none",
            metavar="DATABASE",
        ),
    )
    no_lock: bool = field(
        default=False,
        metadata=about(
            "Write to a store that ignores conditions; see to it that one job writes at a time.",
        ),
    )
    log_format: str = field(
        default="text", metadata=about("How log lines are written.", Words(("text", "json", "emf")))
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Read AL3 files from a source, write tables to a destination."""

    source: Source
    destination: Destination
    options: Options = Options()
