"""What is particular to S3, on moto's server."""

import contextlib
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from al3spark.errors import FileChangedError, RequestError, StoreError
from al3spark.spark.reading import as_failure
from al3spark.store.calls import Access
from al3spark.store.places import Place, open_place
from al3spark.store.retrying import RetryPlan
from al3spark.store.staging import StagedFile
from al3spark.store.uploads import PART_BYTES
from tests.servers import KEYS, ROOT, faulty_proxy, make_bucket

pytestmark = pytest.mark.s3

NAME = "policies/ingest_date=2026-01-02/part-job-a-000000-00000.parquet"


@pytest.fixture
def bucket(moto: str) -> str:
    return make_bucket(moto)


@pytest.fixture
def s3(moto: str) -> Any:
    return boto3.client("s3", endpoint_url=moto)


@pytest.fixture
def place(moto: str, bucket: str) -> Place:
    return open_place(f"s3://{bucket}/lake", Access(endpoint_url=moto))


def stage(place: Place, data: bytes, name: str = NAME) -> StagedFile:
    with place.stage(name, "job-a", 0, 0) as writer:
        writer.write(data)
        return writer.finish()


def names(place: Place, **options: Any) -> list[str]:
    return [file.name for file in place.list_files(**options)]


# Names


@pytest.mark.parametrize("scheme", ["s3", "s3a", "s3n"])
@pytest.mark.parametrize("end", ["", "/"])
def test_schemes_mean_the_same(moto: str, bucket: str, scheme: str, end: str) -> None:
    access = Access(endpoint_url=moto)
    assert open_place(f"{scheme}://{bucket}/in{end}", access) == open_place(f"s3://{bucket}/in/", access)
    assert open_place(f"{scheme}://{bucket}{end}", access).uri("a") == f"s3://{bucket}/a"


@pytest.mark.parametrize("uri", ["s3://", "s3:///in", "s3://x/in", "s3://In_valid/x", "s3:bucket/x"])
def test_what_is_no_bucket_is_refused(uri: str) -> None:
    with pytest.raises(RequestError, match=r": not like s3://bucket/prefix/$"):
        open_place(uri)


def test_an_object_is_a_source_of_one_file(moto: str, bucket: str, s3: Any) -> None:
    s3.put_object(Bucket=bucket, Key="in/a.al3", Body=b"1MHG")
    place = open_place(f"s3://{bucket}/in/a.al3", Access(endpoint_url=moto))
    assert [(place.uri(file.name), file.size) for file in place.list_files("*.txt")] == [
        (f"s3://{bucket}/in/a.al3", 4)
    ]


def test_places_overlap_by_prefix(place: Place, moto: str, bucket: str) -> None:
    access = Access(endpoint_url=moto)
    assert place.overlaps(open_place(f"s3://{bucket}", access))
    assert place.overlaps(open_place(f"s3a://{bucket}/lake/in", access))
    assert not place.overlaps(open_place(f"s3://{bucket}/lakes", access))
    assert not place.overlaps(open_place("/lake"))


def test_a_place_is_pickled(place: Place) -> None:
    assert pickle.loads(pickle.dumps(place)) == place


# Listing and reading


def test_a_listing_has_pages_and_is_sorted(place: Place, bucket: str, s3: Any) -> None:
    put = [f"in/{number:05}.al3" for number in range(2100)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: s3.put_object(Bucket=bucket, Key=f"lake/{name}", Body=b"x"), put))
    s3.put_object(Bucket=bucket, Key="lake/in/", Body=b"")  # what consoles make for a folder
    s3.put_object(Bucket=bucket, Key="lake/_al3spark/lock", Body=b"")
    s3.put_object(Bucket=bucket, Key="lakes/a.al3", Body=b"")
    assert names(place) == put
    assert names(place, pattern="in/0000*.al3") == put[:10]
    assert names(place, recursive=False) == []


@pytest.mark.parametrize("name", ["a b+c.al3", "ü/é%20.al3", "x//y.al3", "q?x=1#y&z.al3", "'\"<>.al3"])
def test_odd_keys_are_listed_read_and_removed(place: Place, bucket: str, s3: Any, name: str) -> None:
    s3.put_object(Bucket=bucket, Key=f"lake/{name}", Body=b"1MHG")
    (file,) = place.list_files()
    assert (file.name, place.uri(file.name)) == (name, f"s3://{bucket}/lake/{name}")
    assert place.read_range(file.name, 1, 2, file.version) == b"MH"
    place.remove_version(file.name, file.version)
    assert names(place) == []


def test_a_listing_tells_size_and_etag(place: Place, bucket: str, s3: Any) -> None:
    tag = s3.put_object(Bucket=bucket, Key="lake/a.al3", Body=b"1MHG")["ETag"]
    (file,) = place.list_files()
    assert (file.name, file.size, file.version) == ("a.al3", 4, tag.strip('"'))
    assert place.find("a.al3") == file


def test_an_empty_prefix_is_an_empty_folder_and_a_bucket_must_exist(place: Place, moto: str) -> None:
    assert names(place) == []
    with pytest.raises(StoreError, match=r"^s3://no-such-bucket/in/: NoSuchBucket: "):
        names(open_place("s3://no-such-bucket/in", Access(endpoint_url=moto)))


@pytest.mark.parametrize(
    ("offset", "length", "expected"), [(0, 3, b"abc"), (2, 2, b"cd"), (4, 9, b"ef"), (6, 1, b""), (1, 0, b"")]
)
def test_ranges(place: Place, offset: int, length: int, expected: bytes) -> None:
    place.write_document("a", b"abcdef")
    found = place.find("a")
    assert found
    assert place.read_range("a", offset, length, found.version) == expected


def test_an_object_that_was_replaced_or_removed_is_not_read(place: Place) -> None:
    place.write_document("a", b"old")
    found = place.find("a")
    assert found
    place.write_document("a", b"new")
    with pytest.raises(FileChangedError, match=r"lake/a: changed since it was listed$"):
        place.read_range("a", 0, 3, found.version)
    with pytest.raises(FileChangedError, match="changed since it was listed"):
        place.open_stream("a", found.version)
    place.remove("a")
    with pytest.raises(FileChangedError, match=r"lake/a: gone since it was listed$"):
        place.read_range("a", 0, 3, found.version)


def test_a_stream_of_a_replaced_object_stops_and_mixes_nothing(place: Place) -> None:
    place.write_document("a", b"1" * (6 << 20))
    with place.open_stream("a") as stream:
        assert stream.read(4) == b"1111"
        place.write_document("a", b"2" * (6 << 20))
        stream.seek(-4, os.SEEK_END)
        with pytest.raises(FileChangedError):
            stream.read()


# Staging


def test_a_staged_file_of_several_parts_is_invisible_until_it_is_published(place: Place) -> None:
    data = os.urandom(2 * PART_BYTES + 1000)
    with place.stage(NAME, "job-a", 0, 0) as writer:
        for at in range(0, len(data), 1 << 20):
            writer.write(data[at : at + (1 << 20)])
        assert writer.tell() == len(data)
        staged = writer.finish()
    assert (names(place), place.is_staged(staged), place.is_published(staged)) == ([], True, False)
    assert place.staged_jobs() == ("job-a",)
    assert [place.publish(staged), place.publish(staged)] == [True, True]
    assert (place.read(NAME), place.is_staged(staged), place.staged_jobs()) == (data, False, ())


def test_an_upload_whose_part_is_not_what_was_told_is_lost(place: Place) -> None:
    """As when a part was sent twice, and the first try, encrypted, ended last."""
    staged = stage(place, b"rows")
    told = json.loads(staged.token)
    assert place.publish(replace(staged, token=json.dumps(told | {"parts": ["0" * 32]}))) is False
    assert place.publish(staged)


def test_a_large_file_is_adopted_in_parts_that_suffice(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(3 * PART_BYTES)
    (tmp_path / "large").write_bytes(data)
    monkeypatch.setattr("al3spark.store.buckets.MOST_PARTS", 2)
    source = open_place(str(tmp_path))
    found = source.find("large")
    assert found
    place.adopt("large", source, "large", found.version)
    assert (place.read("large"), source.find("large")) == (data, None)
    version = (place.find("large") or found).version
    assert version.endswith("-2")  # so many parts


def test_what_another_wrote_under_the_name_is_not_taken_for_it(place: Place) -> None:
    staged = stage(place, b"mine")
    place.discard(staged)
    place.write_document(NAME, b"else")  # of the same size
    assert (place.publish(staged), place.is_published(staged)) == (False, False)


def test_an_upload_that_is_given_up_is_gone(place: Place) -> None:
    with place.stage(NAME, "job-a", 0, 0) as writer:
        writer.write(b"rows")
    assert (place.staged_jobs(), names(place)) == ((), [])


def test_encryption_is_asked_for_of_whatever_is_written(moto: str, bucket: str, s3: Any) -> None:
    place = open_place(
        f"s3://{bucket}/lake", Access(endpoint_url=moto, sse="aws:kms", sse_kms_key_id="key-1")
    )
    place.write_document("document", b"1")
    assert place.publish(stage(place, b"rows"))
    for name in ("document", NAME):
        found = s3.head_object(Bucket=bucket, Key=f"lake/{name}")
        assert (found["ServerSideEncryption"], found["SSEKMSKeyId"][-5:]) == ("aws:kms", "key-1")


# Conditions


def test_of_many_that_create_a_document_one_succeeds(place: Place) -> None:
    barrier = threading.Barrier(8)

    def create(number: int) -> bool:
        barrier.wait()
        return place.create_document("lock", str(number).encode())

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(create, range(8)))
    assert created.count(True) == 1
    assert place.read("lock") == str(created.index(True)).encode()


# Faults


@pytest.fixture
def faulty(moto: str, bucket: str) -> Iterator[Place]:
    """The same place by a way on which every third request goes wrong."""
    with faulty_proxy(moto, delay_ms=0, faults_per_mille=330) as url:
        yield open_place(f"s3://{bucket}/lake/", Access(endpoint_url=url, retry=RetryPlan(30, 0.001)))


def test_a_faulty_store_is_insisted_on(place: Place, faulty: Place) -> None:
    for number in range(10):
        name, data = NAME.replace("000000", f"{number:06}"), os.urandom(100_000)
        assert faulty.publish(stage(faulty, data, name))
        assert faulty.create_document(f"documents/{number}", str(number).encode())
        assert not faulty.create_document(f"documents/{number}", b"somebody else")
        assert faulty.read(f"documents/{number}") == str(number).encode()
        assert faulty.read(name) == data
        with faulty.open_stream(name) as stream:
            assert stream.read() == data
    assert len(names(place)) == 20
    place.discard_staged("job-a")  # an upload whose beginning was done but not answered is begun again
    assert (place.staged_jobs(), len(names(place))) == ((), 20)


def test_a_read_in_a_task_fails_as_what_waiting_can_help(place: Place, faulty: Place) -> None:
    place.write_document("a", bytes(50_000))
    found = place.find("a")
    assert found
    told: dict[str, bool] = {}
    for _ in range(60):
        try:
            whole = faulty.read_range("a", 0, 50_000, found.version) == bytes(50_000)
        except StoreError as error:
            told[str(error).partition("/a: ")[2][:20]] = error.retryable
        else:
            assert whole
    assert len(told) >= 3  # slow down, internal error, resets and short answers
    assert set(told.values()) == {True}


@pytest.fixture
def cuts_refusals_short() -> Iterator[str]:
    """URL of a server that says 404 and resets the connection in the middle of the body."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(
                            b"HTTP/1.1 404 Not Found\r\nContent-Length: 1000\r\n\r\n<Error><Code>No"
                        )
                        time.sleep(0.05)
                        linger = struct.pack("ii", 1, 0)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_refusal_that_is_cut_short_is_tried_again_and_one_line(cuts_refusals_short: str) -> None:
    access = Access(endpoint_url=cuts_refusals_short, path_style=True, retry=RetryPlan(2, 0.001))
    with pytest.raises(StoreError, match="Connection broken") as caught:
        open_place("s3://bucket/lake/", access).read("a")
    assert caught.value.retryable


def test_denied_is_one_line_that_waiting_does_not_help(moto: str, bucket: str) -> None:
    with faulty_proxy(moto, delay_ms=0, faults_per_mille=0) as url:
        place = open_place(f"s3://{bucket}/lake/", Access(endpoint_url=f"{url}/no/such/path"))
        with pytest.raises(StoreError) as caught:
            place.write_document("a", b"")
    assert "\n" not in str(caught.value)


def test_a_client_that_found_no_credentials_is_not_kept(
    moto: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_place(f"s3://{bucket}/lake/", Access(endpoint_url=moto, region="eu-west-1"))
    with monkeypatch.context() as patch:
        for name in KEYS:
            patch.delenv(name)
        patch.setenv("HOME", "/nonexistent")
        with pytest.raises(StoreError, match="no AWS credentials are found; ") as caught:
            names(place)
        assert as_failure(caught.value).retryable  # in a task: the driver had some
    assert names(place) == []


NO_KEYS = """
import sys
from al3spark.store.calls import Access
from al3spark.store.places import open_place
list(open_place(sys.argv[1], Access(endpoint_url=sys.argv[2])).list_files())
"""


def test_without_credentials_one_line_says_what_works(moto: str, bucket: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-c", NO_KEYS, f"s3://{bucket}/lake/", moto],
        env=environment | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"al3spark.errors.StoreError: s3://{bucket}/lake/: no AWS credentials are found; ")


def test_no_server_is_one_line(bucket: str) -> None:
    access = Access(endpoint_url="http://127.0.0.1:9", retry=RetryPlan(2, 0.001))
    with pytest.raises(
        StoreError, match=rf"^s3://{bucket}/in/: Could not connect to the endpoint URL"
    ) as caught:
        names(open_place(f"s3://{bucket}/in/", access))
    assert caught.value.retryable
