"""Parsing in a child process; without Spark."""

import os
from pathlib import Path

import pytest

from al3spark.al3.archives import Limits
from al3spark.al3.blocks import Block
from al3spark.errors import BatchError
from al3spark.spark import isolation
from al3spark.spark.isolation import parse_isolated
from al3spark.spark.splits import InputFile, Split
from al3spark.spark.tasks import ParseTask, SplitTotals, parse_split
from al3spark.store.places import open_place
from tests.al3.samples import DICTIONARY
from tests.batches import al3, put, put_fatal_hook


def split_of(source: Path) -> Split:
    files = open_place(str(source)).list_files()
    return Split(
        3,
        tuple(
            InputFile(f"{source}/{file.name}", file.name, file.size, file.size, file.version)
            for file in files
        ),
    )


def parsed(source: Path, isolated: bool) -> tuple[dict[str, list[object]], SplitTotals]:
    """Rows by table in the order of the file, and the totals."""
    task = ParseTask(open_place(str(source)), DICTIONARY, 50, 4 << 20, Limits())
    *blocks, totals = (parse_isolated if isolated else parse_split)(task, split_of(source))
    assert isinstance(totals, SplitTotals)
    rows: dict[str, list[object]] = {}
    for block in blocks:
        assert isinstance(block, Block)
        rows.setdefault(block.table, []).extend(block.batch.to_pylist())
    return rows, totals


def test_a_child_gives_what_the_worker_would(source: Path) -> None:
    put(source, {"a.al3": al3(1, 2), "b.al3": al3(3), "empty.al3": b"", "text.al3": b"Dear agent,\r\n"})
    expected, expected_totals = parsed(source, isolated=False)
    rows, totals = parsed(source, isolated=True)
    assert totals == expected_totals
    assert {table: sorted(map(repr, each)) for table, each in rows.items()} == {
        table: sorted(map(repr, each)) for table, each in expected.items()
    }


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("exits.al3", "exit code 77"),
        ("crashes.al3", "signal 11"),
        ("swallows.al3", "exit code 1"),  # MemoryError: more than the child may have
    ],
)
def test_a_file_whose_child_dies_is_a_fault_and_the_others_are_parsed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    monkeypatch.syspath_prepend(str(put_fatal_hook(tmp_path / "hook")))
    put(source, {"a.al3": al3(1), name: al3(2), "z.al3": al3(3)})
    rows, totals = parsed(source, isolated=True)
    assert [(Path(file.path).name, file.failed) for file in totals.files] == [
        ("a.al3", ""),
        (name, "FILE_CRASHED_WORKER"),
        ("z.al3", ""),
    ]
    assert {row["policy_number"] for row in rows["policies"]} == {"P0000001", "P0000003"}  # type: ignore[index]
    (fault,) = rows["errors"]
    assert (fault["code"], fault["message"]) == ("FILE_CRASHED_WORKER", f"its parser died: {how}")  # type: ignore[index]
    counted = {table: len(each) for table, each in rows.items()}
    assert dict(totals.rows) == counted


def test_no_child_is_left_behind(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(2)})
    started: list[int] = []
    start = isolation._Child._start

    def note(self: isolation._Child) -> None:
        start(self)
        assert self._process
        started.append(self._process.pid)

    monkeypatch.setattr(isolation._Child, "_start", note)
    task = ParseTask(open_place(str(source)), DICTIONARY, 50, 4 << 20, Limits())
    blocks = parse_isolated(task, split_of(source))
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]  # as when a task is cancelled
    (pid,) = started
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_child_that_does_not_start_is_no_fault_of_a_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = put(tmp_path / "hook", {"sitecustomize.py": b"import os; os._exit(9)"})
    monkeypatch.syspath_prepend(str(broken))
    put(source, {"a.al3": al3(1)})
    with pytest.raises(BatchError, match=r"^a process to parse files in does not start: exit code 9$"):
        parsed(source, isolated=True)
