"""Reading the files of a split, as a task does it; without Spark."""

import gzip
import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from al3spark.al3.archives import Limits
from al3spark.al3.inflating import UnreadableError
from al3spark.al3.squeeze import Form
from al3spark.errors import FileChangedError, StoreError
from al3spark.spark import reading
from al3spark.spark.reading import (
    SEGMENT_BYTES,
    WHOLE_BYTES,
    Failure,
    FileDigest,
    OpenFile,
    as_failure,
    identify,
    read_files,
    scan,
    stream,
)
from al3spark.spark.splits import InputFile
from al3spark.store.places import Place, Readable, open_place
from al3spark.store.retrying import Patience, RetryPlan
from tests.al3.samples import zipped
from tests.batches import append, put

LARGE = WHOLE_BYTES + 1


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return open_place(str(tmp_path))


def listed(place: Place, *names: str, **more: Any) -> list[InputFile]:
    files = {file.name: file for file in place.list_files()}
    return [
        InputFile(place.uri(name), name, files[name].size, files[name].size, files[name].version, **more)
        for name in names
    ]


def members(place: Place, archive: str, *paths: str, size: int = 0) -> list[InputFile]:
    """Members of an archive, as they are known after the fingerprints."""
    (file,) = listed(place, archive)
    return [
        replace(file, path=f"{file.path}!{path}", member=f"{file.path}!{path}", size=size, file_id=path * 32)
        for path in paths
    ]


def read(place: Place, files: Sequence[InputFile], window: int = 4) -> list[tuple[str, object]]:
    """Read all files; of each its path, and its windows or why there are none."""
    found: list[tuple[str, object]] = []
    for file, opened in read_files(place, files, Limits(), window, Patience(RetryPlan())):
        found.append((file.path.rpartition("/")[2], drain(opened)))
    return found


def drain(opened: OpenFile | Failure) -> object:
    if isinstance(opened, Failure):
        return opened
    try:
        return list(opened.windows)
    except (StoreError, UnreadableError) as error:
        return as_failure(error)


def test_files_come_in_order_in_windows_of_the_size_asked_for(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"a": b"123456789", "b": b"", "c": b"1234"})
    found = read(place, listed(place, "c", "b", "a"))
    assert found == [("c", [b"1234"]), ("b", []), ("a", [b"1234", b"5678", b"9"])]


def test_more_files_than_are_read_ahead_come_in_order(tmp_path: Path, place: Place) -> None:
    names = [f"{number:03}" for number in range(40)]
    put(tmp_path, {name: name.encode() for name in names})
    assert read(place, listed(place, *names)) == [(name, [name.encode()]) for name in names]


def test_what_is_read_ahead_is_bounded(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, dict.fromkeys("abcdef", b"1234567890"))
    monkeypatch.setattr(reading, "_AHEAD_BYTES", 20)
    files = listed(place, *"abcdef")
    walk = read_files(place, files, Limits(), 4, Patience(RetryPlan()))
    next(walk)
    (tmp_path / "c").unlink()
    (tmp_path / "d").unlink()
    failed = {file.name: isinstance(opened, Failure) for file, opened in walk}
    assert failed == {"b": False, "c": True, "d": True, "e": False, "f": False}


def test_a_small_file_is_hashed_before_its_first_window(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"a": b"123456789"})
    ((_, opened),) = read_files(place, listed(place, "a"), Limits(), 4, Patience(RetryPlan()))
    assert isinstance(opened, OpenFile)
    assert opened.file_id == identify(b"123456789")


def test_an_id_that_is_known_is_kept(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"a": b"1"})
    ((_, opened),) = read_files(
        place, listed(place, "a", file_id="f" * 32), Limits(), 4, Patience(RetryPlan())
    )
    assert isinstance(opened, OpenFile)
    assert opened.file_id == "f" * 32


def test_a_small_file_tells_by_itself_that_it_was_transcoded(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"a": "M\xfcller \xe9".encode(), "b": b"Muller"})
    forms = [
        opened.form
        for _, opened in read_files(place, listed(place, "a", "b"), Limits(), 4, Patience(RetryPlan()))
        if isinstance(opened, OpenFile)
    ]
    assert forms == [Form(transcoded=True), Form(transcoded=False)]


def test_a_file_that_changed_since_it_was_listed_is_a_failure_that_waiting_can_cure(
    tmp_path: Path, place: Place
) -> None:
    put(tmp_path, {"a": b"1", "b": b"2"})
    files = listed(place, "a", "b")
    append(tmp_path / "a")
    changed = Failure("FILE_CHANGED", "the file changed after it was listed", retryable=True)
    assert read(place, files) == [("a", changed), ("b", [b"2"])]


def test_a_file_that_is_gone_is_a_failure_that_waiting_can_cure(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"a": b"1", "b": b"2"})
    files = listed(place, "a", "b")
    (tmp_path / "b").unlink()
    changed = Failure("FILE_CHANGED", "the file changed after it was listed", retryable=True)
    assert read(place, files) == [("a", [b"1"]), ("b", changed)]


def test_a_file_with_a_known_failure_is_not_opened(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"a": b"1"})
    files = listed(place, "a", failure=("FILE_CHANGED", "no luck", True))
    assert read(place, files) == [("a", Failure("FILE_CHANGED", "no luck", retryable=True))]


def test_a_large_file_is_a_stream_that_notices_a_change_half_way(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"a": bytes(LARGE)})
    files = listed(place, "a", file_id="f" * 32, transcoded=True)
    ((_, opened),) = read_files(place, files, Limits(), LARGE // 2, Patience(RetryPlan()))
    assert isinstance(opened, OpenFile)
    assert opened.form == Form(transcoded=True)
    windows = iter(opened.windows)
    assert len(next(windows)) == LARGE // 2
    append(tmp_path / "a")
    with pytest.raises(FileChangedError):
        next(windows)


def test_members_of_an_archive_come_with_their_ids_in_one_walk(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"z.zip": zipped({"a": b"12345", "b": b"2", "c": b"3"}), "p": b"plain"})
    files = [*members(place, "z.zip", "a", "c"), *listed(place, "p")]
    found = [
        (file.path, opened.file_id, list(opened.windows))
        for file, opened in read_files(place, files, Limits(), 4, Patience(RetryPlan()))
        if isinstance(opened, OpenFile)
    ]
    assert found == [
        (f"{tmp_path}/z.zip!a", "a" * 32, [b"1234", b"5"]),
        (f"{tmp_path}/z.zip!c", "c" * 32, [b"3"]),
        (f"{tmp_path}/p", identify(b"plain"), [b"plai", b"n"]),
    ]


def test_a_compressed_file_is_a_member_without_a_name_of_its_own(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"a.gz": gzip.compress(b"12345")})
    (file,) = listed(place, "a.gz")
    assert read(place, [replace(file, member=file.path)]) == [("a.gz", [b"1234", b"5"])]


def test_a_member_that_is_damaged_fails_and_the_next_is_read(tmp_path: Path, place: Place) -> None:
    data = bytearray(zipped({"a": b"first", "b": b"next"}))
    data[data.index(b"first")] ^= 1
    put(tmp_path, {"z.zip": bytes(data)})
    assert read(place, members(place, "z.zip", "a", "b")) == [
        ("z.zip!a", Failure("FILE_UNREADABLE", "zip member damaged")),
        ("z.zip!b", [b"next"]),
    ]


def test_all_members_of_an_archive_that_changed_fail(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"z.zip": zipped({"a": b"1", "b": b"2"})})
    files = members(place, "z.zip", "a", "b")
    append(tmp_path / "z.zip")
    changed = Failure("FILE_CHANGED", "the file changed after it was listed", retryable=True)
    assert read(place, files) == [("z.zip!a", changed), ("z.zip!b", changed)]


def test_members_that_come_after_a_change_of_their_archive_fail(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"z.zip": zipped({"a": bytes(5 << 20), "b": bytes(5 << 20), "c": b"3"})})
    ended: list[tuple[str, object]] = []
    for file, opened in read_files(
        place, members(place, "z.zip", "a", "b", "c"), Limits(), 1 << 20, Patience(RetryPlan())
    ):
        if file.path.endswith("b"):
            append(tmp_path / "z.zip")
        ended.append((file.path[-1], drain(opened)))
    changed = Failure("FILE_CHANGED", "the file changed after it was listed", retryable=True)
    assert ended == [("a", [bytes(1 << 20)] * 5), ("b", changed), ("c", changed)]


def test_a_member_that_is_not_there_any_more_fails(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"z.zip": zipped({"a": b"1"})})
    missing = Failure("FILE_CHANGED", "the archive no longer has this member", retryable=True)
    assert read(place, members(place, "z.zip", "a", "x")) == [("z.zip!a", [b"1"]), ("z.zip!x", missing)]


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (
            FileChangedError("/in/a: changed"),
            Failure("FILE_CHANGED", "the file changed after it was listed", retryable=True),
        ),
        (StoreError("/in/a: denied"), Failure("FILE_UNREADABLE", "/in/a: denied")),
        (
            StoreError("/in/a: timed out", retryable=True),
            Failure("FILE_UNREADABLE", "/in/a: timed out", retryable=True),
        ),
        (UnreadableError("gzip data damaged"), Failure("FILE_UNREADABLE", "gzip data damaged")),
    ],
)
def test_an_error_of_one_file_becomes_a_fault(error: StoreError | UnreadableError, failure: Failure) -> None:
    assert as_failure(error) == failure


# Ids


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


@pytest.mark.parametrize("size", [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1])
def test_an_id_is_a_digest_of_the_digests_of_segments_of_64_mib(size: int) -> None:
    segments = [digest(bytes(min(SEGMENT_BYTES, size - at))) for at in range(0, size, SEGMENT_BYTES)]
    assert identify(bytes(size)) == digest(b"".join(segments)).hex()


@pytest.mark.parametrize("sizes", [[10], [1, 9], [3, 3, 4], [0, 10, 0], [1] * 10])
def test_an_id_does_not_depend_on_windows(sizes: Iterable[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SEGMENT_BYTES", 4)
    digester = FileDigest()
    at = 0
    for size in sizes:
        digester.feed(b"0123456789"[at : at + size])
        at += size
    assert digester.file_id() == digest(digest(b"0123") + digest(b"4567") + digest(b"89")).hex()


def test_the_id_is_32_hex_digits() -> None:
    assert identify(b"anything") == "".join(format(byte, "02x") for byte in digest(digest(b"anything")))
    assert len(identify(b"")) == 32


def test_a_scan_gives_id_form_and_size() -> None:
    text = "M\xfcller".encode()
    assert scan([text[:2], text[2:]]) == (identify(text), Form(transcoded=True), 7)


def test_a_plain_file_is_streamed_in_windows(tmp_path: Path, place: Place) -> None:
    put(tmp_path, {"a": b"123456789"})
    assert list(stream(place, listed(place, "a")[0], 4, Patience(RetryPlan()))) == [b"1234", b"5678", b"9"]


@dataclass
class Watched:
    """A place whose reads are noted, and the second of them told."""

    place: Readable
    asked: list[tuple[int, int]] = field(default_factory=list)
    second: threading.Event = field(default_factory=threading.Event)

    def uri(self, name: str) -> str:
        return self.place.uri(name)

    def read_range(self, name: str, offset: int, length: int, version: str) -> bytes:
        self.asked.append((offset, length))
        if offset:
            self.second.set()
        return self.place.read_range(name, offset, length, version)

    def open_stream(self, name: str, version: str | None = None) -> BinaryIO:
        return self.place.open_stream(name, version)


def test_the_next_block_of_a_large_file_comes_while_the_windows_of_one_are_taken(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_BLOCK_BYTES", 10)
    put(tmp_path, {"a": b"123456789012345678"})
    watched = Watched(place)
    windows = stream(watched, listed(place, "a")[0], 4, Patience(RetryPlan()))
    assert next(windows) == b"1234"
    assert watched.second.wait(10)
    assert list(windows) == [b"5678", b"9012", b"3456", b"78"]
    assert watched.asked == [(0, 8), (8, 8), (16, 2)]
