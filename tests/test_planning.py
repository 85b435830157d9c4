"""What is read: files by name, what is known, what is equal, and what is too young."""

import gzip
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from al3spark import planning
from al3spark.al3.archives import Limits
from al3spark.al3.building import squeeze, transcode
from al3spark.planning import Selection, Skipped, drop_known, drop_young, identify_inputs, list_inputs
from al3spark.spark.reading import identify
from al3spark.spark.splits import InputFile
from al3spark.spark.tasks import ParseTask
from al3spark.store.ledger import Ledger, load_ledger, no_ledger
from al3spark.store.places import open_place
from tests.al3.samples import DICTIONARY, zipped
from tests.batches import al3, append, ingest, put, statuses

NOW = 1_767_312_000_000_000_000  # ns since 1970
S = 10**9


def changed(seconds_ago: float) -> InputFile:
    version = f"{NOW - round(seconds_ago * S)}-7"
    return InputFile("/in/a", "a", 7, 7, version)


@pytest.mark.parametrize("seconds_ago", [0, 1, 59.999, -1, -59.999])
def test_a_file_that_changed_a_moment_ago_waits_for_the_next_run(seconds_ago: float) -> None:
    file = changed(seconds_ago)
    chosen = drop_young([file], 60, NOW)
    assert (chosen.files, chosen.skipped) == ((), (Skipped(file, "too young", known=True),))


@pytest.mark.parametrize("seconds_ago", [60, 3600, -60, -(10**6)])
def test_a_file_that_is_old_enough_or_dated_far_ahead_is_read(seconds_ago: float) -> None:
    file = changed(seconds_ago)
    chosen = drop_young([file], 60, NOW)
    assert (chosen.files, chosen.skipped) == ((file,), ())


def test_no_file_is_too_young_for_an_age_of_0() -> None:
    assert drop_young([changed(0)], 0, NOW).skipped == ()


@pytest.mark.parametrize(
    "version", ["", '"d41d8cd98f00b204e9800998ecf8427e-3"', "d41d8cd98f00b204e9800998ecf8427e"]
)
def test_a_version_that_tells_no_time_is_no_matter_of_age(version: str) -> None:
    file = InputFile("s3://abc/a", "a", 7, 7, version)
    assert drop_young([file], 60, NOW).files == (file,)


def test_named_files_are_listed_as_named_and_missing_ones_with_their_failure(tmp_path: Path) -> None:
    put(tmp_path, {"in/b": b"bb", "in/a": b"a", "in/c": b"c", "out": b""})
    (tmp_path / "in/link").symlink_to(tmp_path / "out")
    place = open_place(f"{tmp_path}/in")
    listed = list_inputs(place, "*", ("b", "none.zip", "a", "link"))
    assert [(file.name, file.size, file.failure) for file in listed] == [
        ("b", 2, None),
        ("none.zip", 0, ("FILE_UNREADABLE", "no such file", True)),
        ("a", 1, None),
        (
            "link",
            0,
            (
                "FILE_UNREADABLE",
                f"{tmp_path}/in/link: is reached by a link that leads out of {tmp_path}/in",
                False,
            ),
        ),
    ]


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_a_young_file_is_counted_has_no_row_and_is_read_by_a_later_run(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"a.al3": al3(1)})
    manifest = ingest(source, tmp_path / "out", min_age_s=3600)
    summary = manifest["summary"]
    assert (manifest["status"], summary["skipped"], summary["too_young"]) == ("completed", 1, 1)
    assert statuses(tmp_path / "out", source) == {}
    ingest(source, tmp_path / "out")
    assert statuses(tmp_path / "out", source) == {"a.al3": "succeeded"}


# What the ledger knows


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Path:
    """The source of an earlier batch: one file that was ingested, one that failed, an archive."""
    folder = tmp_path_factory.mktemp("earlier")
    archive = zipped({"m.al3": al3(9)})
    source = put(folder / "in", {"a.al3": al3(1), "bad.txt": b"no AL3", "z.zip": archive})
    ingest(source, folder / "out")
    return source


def known_to(source: Path) -> Ledger:
    return load_ledger(open_place(str(source.parent / "out")))


def listing(source: Path) -> tuple[InputFile, ...]:
    return list_inputs(open_place(str(source)), "*")


def names(selection: Selection) -> tuple[list[str], list[tuple[str, str]]]:
    """What is read and what is not, with why."""
    return [file.name for file in selection.files], [
        (each.file.name, each.reason) for each in selection.skipped
    ]


@pytest.mark.spark
def test_what_an_earlier_batch_dealt_with_is_not_read_again(earlier: Path) -> None:
    selection = drop_known(listing(earlier), known_to(earlier), again=False)
    reasons = [("a.al3", "ingested before"), ("bad.txt", "failed before"), ("z.zip", "ingested before")]
    assert names(selection) == ([], reasons)
    assert {each.known for each in selection.skipped} == {True}


@pytest.mark.spark
def test_failed_files_are_read_again_when_asked_for_and_archives_opened(earlier: Path) -> None:
    selection = drop_known(listing(earlier), known_to(earlier), again=True)
    assert names(selection) == (["bad.txt", "z.zip"], [("a.al3", "ingested before")])


@pytest.mark.spark
def test_a_file_of_another_path_size_or_version_is_not_known(earlier: Path) -> None:
    (file, *_) = listing(earlier)
    others = [
        InputFile(f"{file.path}x", file.name, file.size, file.size, file.version),
        InputFile(file.path, file.name, file.size + 1, file.size + 1, file.version),
        InputFile(file.path, file.name, file.size, file.size, f"1{file.version}"),
    ]
    assert drop_known([*others, file], known_to(earlier), again=False).files == tuple(others)


# What is equal


def chosen(spark: SparkSession, source: Path, ledger: Ledger, again: bool = False) -> Selection:
    task = ParseTask(open_place(str(source)), DICTIONARY, 50, 4 << 20, Limits())
    return identify_inputs(spark, task, listing(source), ledger, again, 1 << 20)


@pytest.mark.spark
def test_files_of_a_size_that_is_unique_are_not_read_before_the_parse(
    spark: SparkSession, tmp_path: Path
) -> None:
    put(tmp_path, {"a": b"1", "b": b"22", "c": b"", "d": b""})
    assert [file.file_id for file in chosen(spark, tmp_path, no_ledger()).files] == ["", "", "", ""]


def test_objects_with_unlike_digests_are_not_read_before_the_parse() -> None:
    def suspects(*listed: tuple[int, str]) -> list[int]:
        files = [InputFile(str(n), str(n), size, size, tag) for n, (size, tag) in enumerate(listed)]
        return planning._choose_suspects(files, no_ledger())

    one, two, in_parts = "a" * 32, "b" * 32, f"{'c' * 32}-3"
    assert suspects((5, one), (5, two), (6, one)) == []
    assert suspects((5, one), (5, two), (5, one)) == [0, 2]
    assert suspects((5, one), (5, in_parts), (6, in_parts), (7, "1767-7"), (7, "1767-8")) == [0, 1, 3, 4]


@pytest.mark.spark
def test_of_equal_files_the_first_of_the_listing_is_read(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path, {"b": b"11", "a": b"11", "c": b"22", "d": b"11"})
    selection = chosen(spark, tmp_path, no_ledger())
    assert [(file.name, file.file_id) for file in selection.files] == [
        ("a", identify(b"11")),
        ("c", identify(b"22")),
    ]
    assert [(each.file.name, each.reason, each.duplicate_of) for each in selection.skipped] == [
        ("b", "same content", f"{tmp_path}/a"),
        ("d", "same content", f"{tmp_path}/a"),
    ]


@pytest.mark.spark
def test_a_content_that_was_ingested_is_skipped_under_any_name(
    spark: SparkSession, earlier: Path, tmp_path: Path
) -> None:
    put(tmp_path, {"copy": al3(1), "other": al3(2), "new.al3.gz": gzip.compress(al3(1))})
    selection = chosen(spark, tmp_path, known_to(earlier))
    assert names(selection) == (["other"], [("copy", "same content"), ("new.al3.gz", "same content")])
    assert {each.duplicate_of for each in selection.skipped} == {f"{earlier}/a.al3"}


@pytest.mark.spark
def test_the_content_of_a_file_that_failed_is_read_under_another_name(
    spark: SparkSession, earlier: Path, tmp_path: Path
) -> None:
    put(tmp_path, {"copy.txt": b"no AL3"})
    assert names(chosen(spark, tmp_path, known_to(earlier))) == (["copy.txt"], [])


@pytest.mark.spark
def test_a_file_that_cannot_be_identified_keeps_its_place_with_its_failure(
    spark: SparkSession, tmp_path: Path
) -> None:
    put(tmp_path, {"a": b"11", "b": b"22", "broken.gz": b"no gzip", "z.gz": gzip.compress(b"33")})
    files = listing(tmp_path)
    append(tmp_path / "a")
    append(tmp_path / "z.gz")
    task = ParseTask(open_place(str(tmp_path)), DICTIONARY, 50, 4 << 20, Limits())
    changed = ("FILE_CHANGED", "the file changed after it was listed", True)
    assert [
        (file.name, file.failure)
        for file in identify_inputs(spark, task, files, no_ledger(), False, 1 << 20).files
    ] == [
        ("a", changed),
        ("b", None),
        ("broken.gz", ("FILE_UNREADABLE", "not a gzip file", False)),
        ("z.gz", changed),
    ]


@pytest.mark.spark
def test_members_of_archives_become_files_of_their_own(spark: SparkSession, tmp_path: Path) -> None:
    inner = zipped({"deep.al3": transcode(squeeze(al3(2)))})
    outer = zipped({"a.al3": al3(1), "in.zip": inner})
    put(tmp_path, {"z.zip": outer, "p.al3.gz": gzip.compress(al3(3))})
    selection = chosen(spark, tmp_path, no_ledger())
    coded, compressed = len(transcode(squeeze(al3(2)))), (tmp_path / "p.al3.gz").stat().st_size
    found = [(file.path, file.size, file.listed_size, file.transcoded) for file in selection.files]
    assert found == [
        (f"{tmp_path}/p.al3.gz", len(al3(3)), compressed, False),
        (f"{tmp_path}/z.zip!a.al3", len(al3(1)), len(al3(1)), False),
        (f"{tmp_path}/z.zip!in.zip!deep.al3", coded, coded, True),
    ]
    assert {file.file_id for file in selection.files} == {
        identify(al3(1)),
        identify(transcode(squeeze(al3(2)))),
        identify(al3(3)),
    }
    assert [file.name for file in selection.archives] == ["z.zip"]


@pytest.mark.spark
def test_members_that_are_known_are_not_read_again(spark: SparkSession, earlier: Path) -> None:
    selection = chosen(spark, earlier, known_to(earlier), again=True)
    assert [file.name for file in selection.files] == ["bad.txt"]
    assert [(each.file.path.rpartition("/")[2], each.known) for each in selection.skipped] == [
        ("a.al3", True),
        ("z.zip!m.al3", True),
    ]
