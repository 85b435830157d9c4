import gzip
import io
import pickle
import random
import struct
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al3spark.al3.archives import (
    Limits,
    Member,
    is_archive,
    iter_members,
    open_member,
)
from al3spark.al3.inflating import UnreadableError
from al3spark.errors import StoreError

A, B, C = b"1MHG " * 40, b"2TRG?" * 400, b"3MTG  0001"
KIB = 1024
USUAL = Limits()
SPREAD = random.Random(7).randbytes(20_000)  # what deflate cannot shrink


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def patched(archive: bytes, name: str, offset: int, value: bytes) -> bytes:
    """Put `value` at `offset` of the directory entry of `name`."""
    entry = archive.index(name.encode(), archive.index(b"PK\x01\x02")) - 46
    return archive[: entry + offset] + value + archive[entry + offset + len(value) :]


def members(data: bytes, path: str = "a.zip", limits: Limits = USUAL) -> list[Member]:
    return [member for member, _ in iter_members(path, io.BytesIO(data), limits, 64)]


def attempt(windows: Iterable[bytes]) -> bytes | str:
    """Give what the windows hold, or the reason why they end early."""
    try:
        return b"".join(windows)
    except UnreadableError as fault:
        return str(fault)


def contents(
    data: bytes,
    path: str = "a.zip",
    limits: Limits = USUAL,
    only: tuple[str, ...] | None = None,
) -> dict[str, bytes | str]:
    found = [
        (member.path, attempt(windows))
        for member, windows in iter_members(path, io.BytesIO(data), limits, 64, only)
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


def read_all(path: str, stream: io.BytesIO) -> None:
    for _, windows in iter_members(path, stream, USUAL, 4096):
        attempt(windows)


@pytest.mark.parametrize("path", ["a.zip", "folder/A.ZIP", "b.al3.gz", "b.Gz", "a.zip!b.zip"])
def test_names_of_archives_are_recognised(path: str) -> None:
    assert is_archive(path)


@pytest.mark.parametrize("path", ["a.al3", "zip", "a.zip/b.dat", "a.zip!b.al3", "a.tgz"])
def test_other_names_are_not_archives(path: str) -> None:
    assert not is_archive(path)


def test_members_come_in_archive_order_with_full_paths() -> None:
    data = zipped(("z.al3", A), ("in/b.dat", B), ("c", C))
    assert members(data, "s3://in/day.zip") == [
        Member("s3://in/day.zip!z.al3"),
        Member("s3://in/day.zip!in/b.dat"),
        Member("s3://in/day.zip!c"),
    ]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_stored_and_deflated_members_are_read(method: int) -> None:
    assert contents(zipped(("b.al3", B), ("c.al3", C), method=method)) == {
        "a.zip!b.al3": B,
        "a.zip!c.al3": C,
    }


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("x.al3.gz", gzipped(A), {"x.al3.gz": A}),
        ("x.al3.gz.gz", gzipped(gzipped(A)), {"x.al3.gz.gz": A}),
        ("a.zip", zipped(("b.al3.gz", gzipped(B))), {"a.zip!b.al3.gz": B}),
        ("a.ZIP", zipped(("b.Zip", zipped(("c.al3", C)))), {"a.ZIP!b.Zip!c.al3": C}),
        ("a.zip.gz", gzipped(zipped(("c.al3", C))), {"a.zip.gz!c.al3": C}),
        (
            "a.zip",
            zipped(("b.zip.gz", gzipped(zipped(("c.al3", C)))), ("d.al3", A)),
            {"a.zip!b.zip.gz!c.al3": C, "a.zip!d.al3": A},
        ),
    ],
)
def test_archives_in_archives_are_opened(path: str, data: bytes, expected: dict[str, bytes]) -> None:
    assert contents(data, path) == expected


@pytest.mark.parametrize(
    ("window", "sizes"), [(1, [1] * 10), (3, [3, 3, 3, 1]), (5, [5, 5]), (10, [10]), (11, [10])]
)
@pytest.mark.parametrize(("path", "data"), [("a.zip", zipped(("c", C))), ("c.gz", gzipped(C))])
def test_windows_have_one_size_except_the_last(path: str, data: bytes, window: int, sizes: list[int]) -> None:
    walk = iter_members(path, io.BytesIO(data), USUAL, window)
    windows = list(next(walk)[1])
    assert [len(window) for window in windows] == sizes
    assert b"".join(windows) == C


def test_windows_larger_than_a_piece_are_put_together() -> None:
    content = SPREAD * 40
    windows = list(open_member("a.zip", "a.zip!b", io.BytesIO(zipped(("b", content))), USUAL, 300 * KIB))
    assert [len(each) for each in windows] == [307_200, 307_200, 185_600]
    assert b"".join(windows) == content


def test_member_of_zero_bytes_is_a_member_without_windows() -> None:
    data = zipped(("empty.al3", b""), ("empty.gz", gzipped(b"")))
    found = [(member, list(windows)) for member, windows in iter_members("a.zip", io.BytesIO(data), USUAL, 9)]
    assert found == [(Member("a.zip!empty.al3"), []), (Member("a.zip!empty.gz"), [])]


def test_skipped_windows_do_not_disturb_later_members() -> None:
    walk = iter_members("a.zip", io.BytesIO(zipped(("a", A), ("b", B), ("c", C))), USUAL, 64)
    next(walk)
    _, windows = next(walk)
    assert next(windows) == B[:64]
    assert b"".join(next(walk)[1]) == C


def test_folders_and_hidden_files_are_left_out() -> None:
    data = zipped(
        ("in/", b""),
        ("win\\", b""),
        ("__MACOSX/._b.al3", A),
        (".hidden", A),
        ("in/_temporary/b.al3", A),
        ("in/b.al3", B),
    )
    assert contents(data) == {"a.zip!in/b.al3": B}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("in\\deep\\b.al3", "in/deep/b.al3"),
        ("/etc/b.al3", "etc/b.al3"),
        ("./b.al3", "b.al3"),
        ("../../b.al3", "../../b.al3"),
        ("C:\\b.al3", "C:/b.al3"),
        ("b!c.al3", "b_c.al3"),
        ("b\n\x1b[1m.al3", "b__[1m.al3"),
        ("größe.al3", "größe.al3"),
        ("x.", "x."),
    ],
)
def test_names_become_labels(name: str, label: str) -> None:
    assert contents(zipped((name, B))) == {f"a.zip!{label}": B}


def test_name_in_the_old_dos_character_set_is_read() -> None:
    data = zipped(("M1ller.al3", B)).replace(b"M1ller", b"M\x81ller")
    assert contents(data) == {"a.zip!Müller.al3": B}


def test_member_without_a_name_gets_one() -> None:
    assert contents(zipped(("", B))) == {"a.zip!unnamed": B}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_equal_names_are_numbered() -> None:
    data = zipped(("b", A), ("b", B), ("b#2", C), ("./b", b"4"), ("b", b"5"))
    assert contents(data) == {
        "a.zip!b": A,
        "a.zip!b#2": B,
        "a.zip!b#2#2": C,
        "a.zip!b#3": b"4",
        "a.zip!b#4": b"5",
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_number_that_is_taken_is_passed_over() -> None:
    assert contents(zipped(("b#2", A), ("b", B), ("b", C))) == {
        "a.zip!b#2": A,
        "a.zip!b": B,
        "a.zip!b#3": C,
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_second_inner_archive_of_a_name_is_opened_too() -> None:
    data = zipped(("b.zip", zipped(("c", A))), ("b.zip", zipped(("c", B))))
    assert contents(data) == {"a.zip!b.zip!c": A, "a.zip!b.zip#2!c": B}


@pytest.mark.parametrize("data", [zipped(), zipped(("in/", b""), ("_SUCCESS", b""))])
def test_zip_without_files_has_a_reason(data: bytes) -> None:
    assert members(data) == [Member("a.zip", "holds no files")]


@pytest.mark.parametrize("data", [b"", b"PK", A, zipped(("b", SPREAD))[:-30], gzipped(A)])
def test_zip_that_is_none_has_a_reason(data: bytes) -> None:
    assert members(data) == [Member("a.zip", "not a zip file, or damaged")]
    assert contents(data) == {"a.zip": "not a zip file, or damaged"}


def test_inner_zip_that_is_none_costs_only_itself() -> None:
    assert contents(zipped(("b.zip", A), ("c", C))) == {
        "a.zip!b.zip": "not a zip file, or damaged",
        "a.zip!c": C,
    }


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "gzip data cut short"),
        (b"\x1f", "gzip data cut short"),
        (A, "not a gzip file"),
        (gzipped(A)[:20], "gzip data cut short"),
        (gzipped(A)[:-1], "gzip data cut short"),
        (gzipped(A)[:-8] + bytes(8), "gzip data damaged"),
        (gzipped(A)[:-4] + bytes(4), "gzip data damaged"),
        (gzipped(A) + b"garbage", "bytes after the gzip data"),
        (gzipped(A) + bytes(600) + b"garbage", "bytes after the gzip data"),
        (gzipped(A) + gzipped(B)[:20], "gzip data cut short"),
    ],
)
def test_damaged_gzip_gives_a_reason(data: bytes, reason: str) -> None:
    assert contents(data, "x.gz") == {"x.gz": reason}
    assert contents(zipped(("x.gz", data), ("c", C))) == {"a.zip!x.gz": reason, "a.zip!c": C}


def test_windows_before_the_damage_are_given() -> None:
    windows = open_member("x.gz", "x.gz", io.BytesIO(gzipped(A) + b"garbage"), USUAL, 120)
    assert next(windows) == A[:120]
    with pytest.raises(UnreadableError, match="bytes after the gzip data"):
        next(windows)


def test_gzip_members_one_after_another_are_one_file() -> None:
    assert contents(gzipped(A) + gzipped(b"") + gzipped(B), "x.gz") == {"x.gz": A + B}


@pytest.mark.parametrize("padding", [1, 511, 600_000])
def test_zero_padding_after_gzip_is_no_fault(padding: int) -> None:
    assert contents(gzipped(A) + bytes(padding), "x.gz") == {"x.gz": A}


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (8, b"\x01\x00", "encrypted"),
        (8, b"\x40\x00", "encrypted"),
        (10, struct.pack("<H", 9), "compression method 9 not supported"),
        (10, struct.pack("<H", 98), "compression method 98 not supported"),
    ],
)
def test_member_that_cannot_be_read_is_told_beforehand(offset: int, value: bytes, reason: str) -> None:
    data = patched(zipped(("b.al3", B), ("c.al3", C)), "b.al3", offset, value)
    assert members(data) == [Member("a.zip!b.al3", reason), Member("a.zip!c.al3")]
    assert contents(data) == {"a.zip!b.al3": reason, "a.zip!c.al3": C}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_expand_without_bound_are_not_read(method: int) -> None:
    assert members(zipped(("b", B), method=method)) == [
        Member("a.zip!b", f"compression method {method} not supported")
    ]


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (8, b"\x20\x00", "zip member damaged"),  # patched data, that zipfile does not know
        (16, b"\x00\x00\x00\x00", "zip member damaged"),  # CRC
        (20, b"\x04\x00\x00\x00", "zip member damaged"),  # bytes stored
        (24, b"\x04\x00\x00\x00", "zip member damaged"),  # bytes expanded, fewer than there are
        (42, b"\xf0\xff\xff\x7f", "zip member damaged"),  # place of the member
        (46, b"B", "zip member damaged"),  # name, differs from the member's own header
    ],
)
def test_member_with_a_wrong_header_costs_only_itself(offset: int, value: bytes, reason: str) -> None:
    data = patched(zipped(("b.al3", B), ("c.al3", C)), "b.al3", offset, value)
    assert [*contents(data).values()] == [reason, C]


def test_member_that_ends_beyond_the_archive_costs_only_itself() -> None:
    data = zipped(("b.al3", B), ("c.al3", C), method=zipfile.ZIP_STORED)
    data = patched(data, "b.al3", 20, struct.pack("<II", 1_000_000, 1_000_000))
    assert contents(data) == {"a.zip!b.al3": "zip member cut short", "a.zip!c.al3": C}


def test_zip_that_lost_its_first_bytes_keeps_the_rest() -> None:
    assert contents(zipped(("b", B), ("c", C))[9:]) == {"a.zip!b": "zip member damaged", "a.zip!c": C}


def test_bytes_before_a_zip_are_no_fault() -> None:
    assert contents(b"#!/bin/unpack" + zipped(("b", B))) == {"a.zip!b": B}


def test_name_that_is_not_the_utf8_it_claims_to_be_costs_the_zip() -> None:
    data = zipped(("ü.al3", B)).replace("ü".encode(), b"\xff\xff")
    assert members(data) == [Member("a.zip", "not a zip file, or damaged")]


def test_member_with_damaged_bytes_costs_only_itself() -> None:
    data = zipped(("b", SPREAD), ("c", C), method=zipfile.ZIP_STORED)
    data = data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]
    assert contents(data) == {"a.zip!b": "zip member damaged", "a.zip!c": C}


def test_member_that_is_not_deflated_as_it_says_costs_only_itself() -> None:
    data = zipped(("b", B), ("c", C))
    assert contents(data[:31] + b"\xff\xff" + data[33:]) == {"a.zip!b": "zip member damaged", "a.zip!c": C}


def test_damaged_inner_zip_has_the_reason_of_its_bytes() -> None:
    data = zipped(("b.zip", zipped(("x", SPREAD))), ("c", C), method=zipfile.ZIP_STORED)
    data = data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]
    assert members(data) == [Member("a.zip!b.zip", "zip member damaged"), Member("a.zip!c")]


def test_encrypted_inner_zip_has_a_reason() -> None:
    data = patched(zipped(("b.zip", zipped(("x", A)))), "b.zip", 8, b"\x01\x00")
    assert members(data) == [Member("a.zip!b.zip", "encrypted")]


def nested(depth: int) -> bytes:
    data = zipped(("x.al3", A))
    for _ in range(depth - 1):
        data = zipped(("n.zip", data))
    return data


def test_archives_are_opened_down_to_the_depth_allowed() -> None:
    assert contents(nested(4)) == {"a.zip!n.zip!n.zip!n.zip!x.al3": A}
    assert members(nested(5)) == [Member("a.zip!n.zip!n.zip!n.zip!n.zip", "nested deeper than 4")]


def test_gzip_counts_as_depth() -> None:
    data = zipped(("b.gz", gzipped(A)), ("c", C))
    assert members(data, limits=Limits(depth=1)) == [
        Member("a.zip!b.gz", "nested deeper than 1"),
        Member("a.zip!c"),
    ]


def test_bytes_beyond_the_total_are_not_read() -> None:
    data = zipped(("b", B), ("c", C), ("d", A), ("empty", b""))
    assert contents(data, limits=Limits(total_bytes=2010)) == {
        "a.zip!b": B,
        "a.zip!c": C,
        "a.zip!d": "archive expands to more than 2010 bytes",
        "a.zip!empty": b"",
    }


def test_total_counts_inner_archives_too() -> None:
    inner = zipped(("x", SPREAD), method=zipfile.ZIP_STORED)
    assert contents(zipped(("b.zip", inner)), limits=Limits(total_bytes=30_000)) == {
        "a.zip!b.zip!x": "archive expands to more than 30000 bytes"
    }


def test_skipped_members_do_not_count_against_the_total() -> None:
    data = zipped(("b", B), ("c", C))
    assert contents(data, limits=Limits(total_bytes=10), only=("a.zip!c",)) == {"a.zip!c": C}


def test_bomb_is_stopped_by_its_ratio() -> None:
    bomb = zipped(("b", zipped(("c", bytes(4_000_000)))), ("bomb.al3", bytes(1_000_000)))
    limits = Limits(ratio=100, ratio_from=100 * KIB)
    assert contents(bomb, limits=limits)["a.zip!bomb.al3"] == "archive expands more than 100 times"
    assert contents(gzipped(bytes(1_000_000)), "x.gz", limits) == {
        "x.gz": "archive expands more than 100 times"
    }


def test_bomb_of_inner_archives_is_stopped_while_it_is_spooled() -> None:
    bomb = gzipped(gzipped(gzipped(bytes(3_000_000))))
    data = zipped(("b.zip.gz.gz.gz", bomb))
    limits = Limits(depth=5, ratio=100, ratio_from=100 * KIB)
    assert members(data, limits=limits) == [
        Member("a.zip!b.zip.gz.gz.gz", "archive expands more than 100 times")
    ]


def test_ratio_does_not_matter_for_little_data() -> None:
    assert contents(gzipped(bytes(100_000)), "x.gz", Limits(ratio=2, ratio_from=100_000)) == {
        "x.gz": bytes(100_000)
    }


def test_archive_with_too_many_members_is_not_read() -> None:
    data = zipped(*((f"{number}", A) for number in range(5)))
    assert members(data, limits=Limits(members=4)) == [Member("a.zip", "more than 4 members")]
    assert len(members(data, limits=Limits(members=5))) == 5


def test_members_are_counted_over_all_directories() -> None:
    inner = zipped(("x", A), ("y", B))
    data = zipped(("b.zip", inner), ("c.zip", inner), ("d.zip", zipped(("z", C))))
    assert members(data, limits=Limits(members=6)) == [
        Member("a.zip!b.zip!x"),
        Member("a.zip!b.zip!y"),
        Member("a.zip!c.zip", "more than 6 members"),
        Member("a.zip!d.zip!z"),
    ]


def test_directory_too_long_for_the_members_allowed_is_not_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(3):
            archive.writestr("n" * 60_000 + str(number), A)
    assert members(out.getvalue(), limits=Limits(members=3)) == [Member("a.zip", "directory too long")]


@pytest.mark.parametrize("wrong", ["depth", "ratio", "total_bytes", "members"])
def test_limits_check_themselves(wrong: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limits(**{wrong: 0})


def test_memory_does_not_grow_with_a_member() -> None:
    data = zipped(("b.gz", gzipped(bytes(48 * KIB * KIB))))
    tracemalloc.start()
    try:
        total = sum(
            len(window) for window in open_member("a.zip", "a.zip!b.gz", io.BytesIO(data), USUAL, KIB * KIB)
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 50_331_648
    assert peak < 5 * KIB * KIB


LARGE = SPREAD * 1000  # 20 MB


def test_large_inner_zip_is_read_in_windows() -> None:
    data = zipped(("b.zip", zipped(("x", LARGE), method=zipfile.ZIP_STORED)), method=zipfile.ZIP_STORED)
    windows = list(open_member("a.zip", "a.zip!b.zip!x", io.BytesIO(data), USUAL, 15_000_000))
    assert windows == [LARGE[:15_000_000], LARGE[15_000_000:]]


def test_temporary_file_that_cannot_be_written_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    data = zipped(("b.zip", zipped(("x", LARGE), method=zipfile.ZIP_STORED)), method=zipfile.ZIP_STORED)
    with pytest.raises(StoreError, match="spooling an archive stopped: No such file or directory"):
        members(data)


def test_small_inner_zip_needs_no_temporary_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    data = zipped(("b.zip", zipped(("x", SPREAD), method=zipfile.ZIP_STORED)))
    assert contents(data) == {"a.zip!b.zip!x": SPREAD}


MIXED = zipped(
    ("b.zip", zipped(("x", A), ("deep.zip", zipped(("y.gz", gzipped(B)))))), ("c", C), ("bad.zip", A)
)


@pytest.mark.parametrize(
    ("member", "expected"),
    [("a.zip!b.zip!x", A), ("a.zip!b.zip!deep.zip!y.gz", B), ("a.zip!c", C)],
)
def test_member_is_found_again_by_its_path(member: str, expected: bytes) -> None:
    assert b"".join(open_member("a.zip", member, io.BytesIO(MIXED), USUAL, 7)) == expected


def test_outer_path_may_hold_any_character() -> None:
    data = io.BytesIO(zipped(("c", C)))
    assert b"".join(open_member("in!/{0}/a.zip", "in!/{0}/a.zip!c", data, USUAL, 7)) == C


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ("a.zip!bad.zip", "not a zip file, or damaged"),
        ("a.zip!bad.zip!x", "not a zip file, or damaged"),
        ("a.zip!nowhere", "not in the archive"),
        ("a.zip!b.zip", "not in the archive"),
        ("other.zip!c", "not in the archive"),
    ],
)
def test_member_that_is_not_there_gives_a_reason(member: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=f"^{reason}$"):
        list(open_member("a.zip", member, io.BytesIO(MIXED), USUAL, 7))


def test_only_the_members_asked_for_are_given() -> None:
    only = ("a.zip!c", "a.zip!b.zip!deep.zip!y.gz", "a.zip!bad.zip!z")
    assert contents(MIXED, only=only) == {
        "a.zip!b.zip!deep.zip!y.gz": B,
        "a.zip!c": C,
        "a.zip!bad.zip": "not a zip file, or damaged",
    }


class FailingStream(io.BytesIO):
    """Reads up to a position, then fails as a store or a disk does."""

    def __init__(self, data: bytes, fails_at: int, error: Exception) -> None:
        super().__init__(data)
        self.fails_at = fails_at
        self.error = error

    def read(self, size: int | None = -1) -> bytes:
        start = self.tell()
        data = super().read(size)
        if start <= self.fails_at < self.tell():
            raise self.error
        return data


STORED = zipped(("b", SPREAD * 5), ("c.zip", zipped(("x", SPREAD))), method=zipfile.ZIP_STORED)


@pytest.mark.parametrize(
    ("path", "data"), [("a.zip", STORED), ("a.gz", gzipped(SPREAD * 5)), ("a.zip.gz", gzipped(STORED))]
)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99999])
def test_error_of_the_stream_passes_untouched(path: str, data: bytes, share: float) -> None:
    error = StoreError("throttled", retryable=True)
    stream = FailingStream(data, int(len(data) * share), error)
    with pytest.raises(StoreError) as raised:
        read_all(path, stream)
    assert raised.value is error


@pytest.mark.parametrize(("path", "data"), [("a.zip", STORED), ("a.gz", gzipped(SPREAD))])
@pytest.mark.parametrize("share", [0.3, 0.99999])
def test_error_of_a_disk_is_not_taken_for_damage(path: str, data: bytes, share: float) -> None:
    stream = FailingStream(data, int(len(data) * share), OSError(5, "Input/output error"))
    with pytest.raises(StoreError, match="Input/output error") as raised:
        read_all(path, stream)
    assert raised.value.retryable


@pytest.mark.parametrize(("path", "data"), [("a.zip", MIXED), ("a.gz", gzipped(A)), ("a.zip", b"none")])
def test_stream_stays_open(path: str, data: bytes) -> None:
    stream = io.BytesIO(data)
    read_all(path, stream)
    assert not stream.closed


def test_reasons_can_be_pickled() -> None:
    assert str(pickle.loads(pickle.dumps(UnreadableError("encrypted")))) == "encrypted"


INTACT = {A, B, C, b"1MHG", SPREAD[:300]}
VALID = {
    "a.zip": zipped(
        ("a.al3", A),
        ("b.zip", zipped(("x", B), ("y.gz", gzipped(C)), method=zipfile.ZIP_STORED)),
        ("s.dat", SPREAD[:300]),
        ("last.txt", b"1MHG"),
    ),
    "b.zip": zipped(("a.al3", A), ("b", B), ("s", SPREAD[:300]), ("c", C), method=zipfile.ZIP_STORED),
    "c.gz": gzipped(SPREAD[:300]),
    "d.zip.gz": gzipped(zipped(("a", A), ("b", B))),
}

Damage = Callable[[bytes], bytes]


def flip(share: float, mask: int) -> Damage:
    def damage(data: bytes) -> bytes:
        at = int(len(data) * share)
        return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :] if data else data

    return damage


def cut(share: float, size: int) -> Damage:
    return lambda data: data[: int(len(data) * share)] + data[int(len(data) * share) + size :]


shares = st.floats(0, 1, exclude_max=True)
# Directories, where zipfile is most easily misled, are at the end.
places = st.one_of(shares, shares.map(lambda share: 0.7 + 0.3 * share).filter(lambda share: share < 1))
damages = st.one_of(
    st.builds(flip, places, st.integers(1, 255)), st.builds(cut, places, st.integers(1, 2000))
)


def intact(path: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    for member, windows in iter_members(path, io.BytesIO(data), USUAL, 100):
        content = attempt(windows)
        if isinstance(content, bytes):
            assert not member.reason
            yield member.path, content


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(VALID)), st.lists(damages, min_size=1, max_size=3))
def test_damaged_archive_gives_each_intact_member_at_most_once(path: str, damage: list[Damage]) -> None:
    data = VALID[path]
    for each in damage:
        data = each(data)
    found = list(intact(path, data))
    assert len({content for _, content in found}) == len(found)
    assert {content for _, content in found} <= INTACT
    for member_path, content in found:
        assert b"".join(open_member(path, member_path, io.BytesIO(data), USUAL, 64)) == content
