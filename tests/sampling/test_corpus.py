import csv
import hashlib
from io import BytesIO
from pathlib import Path

import pytest

from al3spark.al3.archives import Limits, is_archive, iter_members
from al3spark.errors import RequestError
from al3spark.sampling import SENDERS, sample_bytes, write_sample


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def expanded(directory: Path, but: frozenset[str] = frozenset()) -> dict[str, bytes]:
    """All AL3 files of a corpus, those in archives too, but for some."""
    found = {}
    for name in sorted(digests(directory).keys() - but - {"_broken.csv"}):
        data = (directory / name).read_bytes()
        if is_archive(name):
            members = iter_members(name, BytesIO(data), Limits(), 1 << 20)
            found.update({member.path: b"".join(windows) for member, windows in members})
        else:
            found[name] = data
    return found


@pytest.fixture(scope="session")
def valid(tmp_path_factory):
    """A corpus without damage in which each sender has two files, and each kind of file occurs."""
    directory = tmp_path_factory.mktemp("valid") / "corpus"
    return directory, write_sample(directory, files=24, size_kib=24, seed=11)


@pytest.fixture(scope="session")
def broken(tmp_path_factory):
    directory = tmp_path_factory.mktemp("broken") / "corpus"
    return directory, write_sample(directory, files=32, size_kib=16, seed=11, damage=0.5)


@pytest.fixture(scope="session")
def totals(valid, parse):
    return [parse(data)[1] for data in expanded(valid[0]).values()]


def test_an_undamaged_corpus_has_no_fault_but_groups_that_are_unmapped(totals):
    assert {code for each in totals for code, _ in each.fault_counts} == {"GROUP_UNMAPPED"}
    assert {(each.imbalance, each.failed) for each in totals} == {("", "")}


def test_a_corpus_shows_every_kind_of_file(valid):
    names = expanded(valid[0]).keys()
    assert sum(path.is_file() for path in valid[0].rglob("*")) == 24
    assert {name.partition("!")[2] for name in names} == {
        "",
        "policies_1.al3",
        "policies_2.al3",
        "policies_3.al3",
        "policies.al3.gz",
        "more.zip!inner/policies.al3",
    }
    suffixes = {Path(name.partition("!")[0]).suffix for name in names}
    assert suffixes == {".al3", ".dat", ".txt", "", ".gz", ".zip"}


def test_a_corpus_shows_several_messages_in_one_file(totals):
    assert {each.messages for each in totals} == {1, 2, 3}


def test_the_report_counts_files_and_their_bytes(valid):
    directory, report = valid
    sizes = [path.stat().st_size for path in directory.rglob("*") if path.is_file()]
    assert (report.files, report.size, report.broken) == (len(sizes), sum(sizes), ())


def test_files_have_about_the_size_that_was_asked_for(tmp_path):
    report = write_sample(tmp_path / "corpus", files=3, size_kib=200, seed=1)
    assert report.size == pytest.approx(3 * 200 * 1024, rel=0.06)


def test_the_same_arguments_give_the_same_bytes(tmp_path, broken):
    write_sample(tmp_path / "again", files=32, size_kib=16, seed=11, damage=0.5)
    assert digests(tmp_path / "again") == digests(broken[0])


def test_a_file_does_not_depend_on_the_others(tmp_path, valid):
    write_sample(tmp_path / "fewer", files=8, size_kib=24, seed=11)
    assert digests(tmp_path / "fewer").items() < digests(valid[0]).items()


def test_another_seed_gives_other_files(tmp_path, valid):
    write_sample(tmp_path / "other", files=8, size_kib=24, seed=12)
    assert not set(digests(tmp_path / "other").values()) & set(digests(valid[0]).values())


def test_broken_files_are_listed_with_what_was_broken(broken):
    directory, report = broken
    with (directory / "_broken.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0].keys() == {"file", "damage", "fault", "offset"}
    assert [(row["file"], row["damage"]) for row in rows] == [
        (each.path, each.damage) for each in report.broken
    ]
    assert 8 <= len(rows) <= 24


def test_files_that_are_not_listed_as_broken_are_valid(broken, parse):
    directory, report = broken
    unlisted = expanded(directory, but=frozenset(each.path for each in report.broken))
    faults = {code for data in unlisted.values() for code, _ in parse(data)[1].fault_counts}
    assert faults == {"GROUP_UNMAPPED"}


def test_a_directory_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(RequestError, match="no empty directory"):
        write_sample(tmp_path, files=1, size_kib=1, seed=1)


def test_all_wrong_arguments_are_named_at_once(tmp_path):
    with pytest.raises(RequestError) as caught:
        write_sample(tmp_path, files=0, size_kib=0, seed=1, damage=2)
    assert str(caught.value) == (
        "files is 0, it must be at least 1; size is 0 KiB, it must be at least 1; "
        "damage is 2, it must be from 0 to 1"
    )


@pytest.mark.parametrize("sender", SENDERS, ids=[sender.code for sender in SENDERS])
def test_sample_bytes_is_one_valid_file_of_about_the_size(sender, parse):
    data = sample_bytes(100_000, seed=5, sender=sender)
    _, totals = parse(data)
    assert len(data) == pytest.approx(110_000, rel=0.1)
    assert (totals.messages, totals.failed, totals.imbalance) == (1, "", "")
    assert {code for code, _ in totals.fault_counts} <= {"GROUP_UNMAPPED"}


def test_sample_bytes_gives_the_same_bytes_for_the_same_seed():
    assert sample_bytes(20_000, seed=5) == sample_bytes(20_000, seed=5) != sample_bytes(20_000, seed=6)
