"""Whole batches from S3 to S3: tables as from disk, a store that is slow and faulty, what the job may do."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest

from al3spark.al3.archives import Limits
from al3spark.config import Archive
from al3spark.errors import RequestError
from al3spark.requests import load_request
from al3spark.sampling import sample_bytes, write_sample
from al3spark.spark.reading import read_files
from al3spark.spark.splits import InputFile
from al3spark.store.retrying import Patience, RetryPlan
from tests.batches import (
    ROOT,
    Tables,
    al3,
    ingest,
    put,
    read_rows,
    run,
)
from tests.buckets import Bucket, tables_of
from tests.servers import faulty_proxy, make_bucket

pytestmark = [pytest.mark.spark, pytest.mark.s3]


@pytest.fixture(autouse=True)
def _session(spark: object) -> None:
    """All batches here run in the one session."""


@pytest.fixture
def bucket(moto: str, tmp_path: Path) -> Bucket:
    return Bucket(moto, make_bucket(moto), tmp_path / "downloaded")


@pytest.fixture
def other_bucket(other_server: str, tmp_path: Path) -> Bucket:
    return Bucket(other_server, make_bucket(other_server), tmp_path / "downloaded")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "in"
    write_sample(folder, files=30, size_kib=60, seed=5, damage=0.2)
    return folder


@pytest.fixture(scope="module")
def expected(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The tables of the corpus, from disk to disk."""
    out = tmp_path_factory.mktemp("expected")
    ingest(corpus, out)
    return tables_of(out, corpus)


def note(text: str, *values: object) -> None:
    """A figure, for those who run with -s."""
    sys.stderr.write(text.format(*values) + "\n")


CUTS: list[dict[str, int]] = [{}, {"split_mib": 1, "window_kib": 4, "chunk_mib": 1}]


@pytest.mark.parametrize("options", CUTS)
def test_tables_are_those_from_disk(
    bucket: Bucket, corpus: Path, expected: Tables, options: dict[str, int]
) -> None:
    bucket.upload(corpus)
    manifest = run(bucket.ready(**options))
    assert manifest["status"] == "partial_success"
    assert tables_of(bucket.download(), f"s3://{bucket.name}/in") == expected
    assert bucket.uploads() == []
    again = run(bucket.ready())
    assert (again["summary"]["processed"], again["summary"]["skipped"] >= 30) == (0, True)


@pytest.mark.newest
@pytest.mark.parametrize("options", CUTS)
def test_tables_are_those_from_disk_on_a_server_by_other_hands(
    other_bucket: Bucket, corpus: Path, expected: Tables, options: dict[str, int]
) -> None:
    other_bucket.upload(corpus)
    with pytest.raises(RequestError, match="ignores conditional writes"):
        run(other_bucket.ready())
    assert run(other_bucket.ready(no_lock=True, **options))["status"] == "partial_success"
    assert tables_of(other_bucket.download(), f"s3://{other_bucket.name}/in") == expected
    again = run(other_bucket.ready(no_lock=True))
    assert (again["summary"]["processed"], again["summary"]["skipped"] >= 30) == (0, True)


def test_an_object_that_is_replaced_while_it_is_read_is_reported_and_never_mixed(
    bucket: Bucket, tmp_path: Path
) -> None:
    """Once after its first windows had been parsed, once between listing and reading."""
    old, new = sample_bytes(1_000_000, seed=1) * 34, sample_bytes(1_000_000, seed=2) * 34
    put(tmp_path / "in", {"a.al3": al3(1), "big.al3": old, "small.al3": al3(2)})
    bucket.upload(tmp_path / "in")
    (tmp_path / "notes").mkdir()
    put(tmp_path / "new", {"big.al3": new, "small.al3": al3(3)})
    prepared = bucket.ready()
    source = ReplacingPlace(prepared.source, bucket, tmp_path / "new", tmp_path / "notes")
    manifest = run(replace(prepared, source=source))
    assert (manifest["status"], manifest["summary"]["succeeded"]) == ("partial_success", 1)
    tables, root = bucket.download(), f"s3://{bucket.name}/in"
    told = tables_of(tables, root)["errors"]
    assert [[value for value in row if value == "FILE_CHANGED"] for row in told].count(["FILE_CHANGED"]) == 2
    assert read_rows(tables, "policies", "policy_number") == [("P0000001",)]
    assert manifest["remediation"]["retry_strategy"] == "failed_files_only"

    second = run(bucket.ready())
    assert (second["status"], second["summary"]["succeeded"]) == ("completed", 2)
    put(tmp_path / "in", {"big.al3": new, "small.al3": al3(3)})
    ingest(tmp_path / "in", tmp_path / "out")
    found, expected = tables_of(bucket.download(), root), tables_of(tmp_path / "out", tmp_path / "in")
    assert found["policies"] == expected["policies"]
    assert found["auto_coverages"] == expected["auto_coverages"]


@dataclass(frozen=True, slots=True)
class ReplacingPlace:
    """A source in which objects are replaced by files of a folder before they are read, or half-way."""

    place: Any
    bucket: Bucket
    new: Path
    notes: Path

    def read_range(self, name: str, offset: int, length: int, version: str) -> bytes:
        """As of the place."""
        halfway = offset > 8 << 20 or length < 1 << 20
        note = self.notes / name
        if halfway and (self.new / name).exists() and not note.exists():
            note.touch()
            self.bucket.s3.upload_file(str(self.new / name), self.bucket.name, f"in/{name}")
        data: bytes = self.place.read_range(name, offset, length, version)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.place, name)


@pytest.mark.newest
def test_a_slow_and_faulty_store_gives_the_same_tables(bucket: Bucket, tmp_path: Path) -> None:
    """500 files of 100 KB; 30 to 50 ms a request, and every twentieth goes wrong."""
    data = sample_bytes(100_000, seed=3)
    put(tmp_path / "in", {f"{number:03}.al3": data + b" " * number for number in range(500)})
    bucket.upload(tmp_path / "in")
    ingest(tmp_path / "in", tmp_path / "out")
    with faulty_proxy(bucket.url, delay_ms=30, faults_per_mille=50) as url:
        began = time.monotonic()
        manifest = run(bucket.ready(url, retry_delay_s=0.05))
        seconds = time.monotonic() - began
    assert manifest["status"] == "completed"
    assert manifest["summary"]["retries"] >= 10
    found = tables_of(bucket.download(), f"s3://{bucket.name}/in")
    assert found == tables_of(tmp_path / "out", tmp_path / "in")
    note("500 files in {:.1f} s, {} retries", seconds, manifest["summary"]["retries"])


@pytest.mark.newest
def test_reading_ahead_hides_the_delay(bucket: Bucket, tmp_path: Path) -> None:
    """In one task: several GETs on their way against one after the other, 40 ms each; the best of three."""
    put(tmp_path / "in", {f"{number:03}.al3": bytes(100_000) for number in range(100)})
    bucket.upload(tmp_path / "in")
    rounds: list[tuple[float, float]] = []
    with faulty_proxy(bucket.url, delay_ms=30, faults_per_mille=0) as url:
        place = bucket.ready(url).source
        files = [
            InputFile(place.uri(file.name), file.name, file.size, file.size, file.version)
            for file in place.list_files()
        ]
        while len(rounds) < 3 and not any(one_by_one / ahead >= 5 for one_by_one, ahead in rounds):
            began = time.monotonic()
            for file in files:
                place.read_range(file.name, 0, file.size, file.version)
            between = time.monotonic()
            assert len(list(read_files(place, files, Limits(), 4 << 20, Patience(RetryPlan())))) == 100
            rounds.append((between - began, time.monotonic() - between))
    for one_by_one, ahead in rounds:
        note("one by one {:.2f} s, ahead {:.2f} s: {:.1f} times", one_by_one, ahead, one_by_one / ahead)
    assert max(one_by_one / ahead for one_by_one, ahead in rounds) >= 5


# What the job may do


def actions_of(request: list[str], bucket: str) -> set[tuple[str, str]]:
    """What IAM calls a request, and on which part of the bucket."""
    method, path, copied = request
    url = urlsplit(path)
    query = parse_qs(url.query, keep_blank_values=True)
    key = unquote(url.path).removeprefix(f"/{bucket}").removeprefix("/")
    if not key:
        listed = query["prefix"][0].partition("/")[0]
        return {("s3:ListBucketMultipartUploads" if "uploads" in query else "s3:ListBucket", listed)}
    part = key.partition("/")[0]
    if method in ("GET", "HEAD"):
        return {("s3:ListMultipartUploadParts" if "uploadId" in query else "s3:GetObject", part)}
    if method == "DELETE":
        return {("s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject", part)}
    source = unquote(copied).removeprefix("/").removeprefix(f"{bucket}/").partition("/")[0]
    return {("s3:PutObject", part)} | ({("s3:GetObject", source)} if copied else set())


def allowed(*policies: str) -> set[tuple[str, str]]:
    """What policies of conf/emr allow, in the same terms."""
    parts = {"incoming": "in", "tables": "tables", "done": "done", "al3spark": "al3spark"}
    found = set()
    for statement in (each for name in policies for each in read_policy(name)["Statement"]):
        prefixes = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", [])
        resource = statement["Resource"].partition("/")[2] or (prefixes[0] if prefixes else "tables/*")
        found |= {(action, parts[resource.partition("/")[0]]) for action in statement["Action"]}
    return found


def read_policy(name: str) -> Any:
    return json.loads((ROOT / "conf/emr" / name).read_text())


def read_calls(log: Path, bucket: Bucket) -> set[tuple[str, str]]:
    """What was called since the last time."""
    lines = log.read_text().splitlines()
    log.unlink()
    return {action for line in lines for action in actions_of(json.loads(line), bucket.name)}


@pytest.mark.newest
def test_the_policies_are_what_the_job_calls(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "requests"
    put(tmp_path / "in", {"a.al3": al3(1), "text.al3": b"Dear agent, no.\r\n"})
    bucket.upload(tmp_path / "in")
    bucket.s3.upload_file(str(ROOT / "conf/batch.json"), bucket.name, "al3spark/batch.json")
    with faulty_proxy(bucket.url, 0, 0, log) as url:
        with monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_S3", url)
            assert load_request(f"s3://{bucket.name}/al3spark/batch.json").options.max_failed_files == 10
        run(bucket.ready(url, on_error="fail"))  # discards what it had staged
        job_id = run(bucket.ready(url))["job_id"]
        run(bucket.ready(url, reprocess=job_id))
        place = bucket.ready(url).destination
        lost = "policies/ingest_date=2026-01-02/part-batch-20260102-abc123-000000-00000.parquet"
        with place.stage(lost, "batch-20260102-abc123", 0, 0) as writer:
            staged = writer.finish()
        place.discard(staged)
        assert place.publish(staged) is False  # as a recovery does with a plan whose upload is gone
        assert read_calls(log, bucket) == allowed("iam-policy.json")

        put(tmp_path / "in", {"b.al3": al3(2)})
        bucket.upload(tmp_path / "in")
        archive = Archive(f"s3://{bucket.name}/done/good/", f"s3://{bucket.name}/done/bad/")
        job_id = run(bucket.ready(url, archive=archive))["job_id"]
        run(bucket.ready(url, archive=archive, reprocess=job_id))
        called = read_calls(log, bucket)
    both = allowed("iam-policy.json", "iam-policy-archive.json")
    assert (called - both, allowed("iam-policy-archive.json") - called) == (set(), set())


@pytest.mark.newest
def test_credentials_that_may_only_read_are_told_in_one_line_and_leave_nothing(
    bucket: Bucket, tmp_path: Path
) -> None:
    put(tmp_path / "in", {"a.al3": al3(1)})
    bucket.upload(tmp_path / "in")
    with read_only_keys(bucket) as keys:
        ended = subprocess.run(
            [sys.executable, "-m", "al3spark.cli", "ingest", "--request", str(bucket.request(tmp_path))],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | keys,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert re.fullmatch(rf"al3spark: s3://{bucket.name}/tables/_al3spark/\S+: AccessDenied: .*", line)
    assert bucket.uploads() == []
    assert not bucket.download("tables/").exists()


@contextmanager
def read_only_keys(bucket: Bucket) -> Iterator[dict[str, str]]:
    """Keys of a user who may list and get only, on a server that checks it for as long."""
    iam = boto3.client("iam", endpoint_url=bucket.url)
    name = f"reader-{bucket.name}"
    iam.create_user(UserName=name)
    reads = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [reads]}
    iam.put_user_policy(UserName=name, PolicyName="reads", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    check_keys(bucket.url, after=0)
    try:
        yield {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
    finally:
        check_keys(bucket.url, after=None)


def check_keys(url: str, after: int | None) -> None:
    """Let moto check what keys may do, after so many requests; None: never."""
    count = b"inf" if after is None else str(after).encode()
    asked = urllib.request.Request(
        f"{url}/moto-api/reset-auth", data=count, headers={"Content-Type": "text/plain"}
    )
    with urllib.request.urlopen(asked) as answer:
        assert answer.status == 200
