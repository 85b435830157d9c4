"""Parse files in a child process, so that a file that kills its parser kills nothing else.

In: a split. Out: what `parse_split` gives, with FILE_CRASHED_WORKER for a file whose child died (a crash of
native code, too much memory). Slower than parsing in the worker: it is for a chunk that failed without it.
One child serves the files of a split until one kills it. Its rows wait in a temporary file until it is
through with a file, so that nothing of a file that crashes is given out.

As a program (`python -m al3spark.spark.isolation`) this is the child: it takes pickled files on standard
input, and answers with a dot when it is ready and after each file.
"""

import os
import pickle
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa

from al3spark.al3.blocks import Block, pack, unpack
from al3spark.al3.parsing import SplitParser
from al3spark.al3.totals import FileTotals
from al3spark.errors import BatchError
from al3spark.spark.splits import InputFile, Split
from al3spark.spark.tasks import ParseSplit, ParseTask, SplitTotals, parse_split

CHILD_BYTES = 4 << 30  # of address space: threads and libraries reserve much more than they use


def choose_parse(task: ParseTask) -> ParseSplit:
    """Give the function that parses as a task says: in the worker, or each file in a child process."""
    return parse_isolated if task.isolated else parse_split


def parse_isolated(task: ParseTask, split: Split) -> Iterator[Block | SplitTotals]:
    """Parse the files of a split, each out of harm's way; the totals come last."""
    rows: Counter[str] = Counter()
    files: list[FileTotals] = []
    retries = 0
    with _Child(task) as child:
        for file in split.files:
            for block in child.parse(file):
                if isinstance(block, SplitTotals):
                    files += block.files
                    retries += block.retries
                else:
                    rows[block.table] += block.batch.num_rows
                    yield block
    yield SplitTotals(split.split_id, tuple(sorted(rows.items())), tuple(files), retries)


@dataclass(slots=True)
class _Child:
    """The process at hand, if any, and the file that its rows go to."""

    task: ParseTask
    _process: subprocess.Popen[bytes] | None = None
    _rows: IO[bytes] = field(default_factory=tempfile.TemporaryFile)

    def __enter__(self) -> "_Child":
        return self

    def __exit__(self, *error: object) -> None:
        if self._process:
            self._process.kill()
            self._end()
        self._rows.close()

    def parse(self, file: InputFile) -> Iterator[Block | SplitTotals]:
        """Let the child parse a file and give what it made of it; or the fault that it died."""
        if not self._ask(file):
            yield from self._crashed(file)
            return
        self._rows.seek(0)
        while True:
            table, payload = pickle.load(self._rows)
            if not table:
                yield SplitTotals.from_bytes(payload)
                return
            yield Block(table, unpack(pa.py_buffer(payload)))

    def _ask(self, file: InputFile) -> bool:
        """Say whether the child came through with a file."""
        self._rows.seek(0)
        self._rows.truncate()
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(file, self._process.stdin)
            self._process.stdin.flush()
            return self._process.stdout.read(1) == b"."
        except BrokenPipeError:
            return False

    def _start(self) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._rows.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(self._rows.fileno(),),
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            pickle.dump(self.task, self._process.stdin)
            self._process.stdin.flush()
        if self._process.stdout.read(1) != b".":  # no fault of the file
            raise BatchError(f"a process to parse files in does not start: exit code {self._end()}")

    def _end(self) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        process.communicate()
        return process.returncode

    def _crashed(self, file: InputFile) -> Iterator[Block | SplitTotals]:
        code = self._end()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        parser = SplitParser(self.task.dictionary)
        parser.fail(file.path, file.file_id, "FILE_CRASHED_WORKER", f"its parser died: {how}")
        rows: Counter[str] = Counter()
        for block in parser.flush():
            rows[block.table] += block.batch.num_rows
            yield block
        yield SplitTotals(0, tuple(rows.items()), parser.totals())


def _serve(requests: IO[bytes], answers: IO[bytes], rows: IO[bytes]) -> None:
    """Be the child: parse file after file, each time write all rows, then one dot."""
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))
    pa.set_cpu_count(1)
    task: ParseTask = pickle.load(requests)
    answers.write(b".")
    answers.flush()
    while True:
        try:
            file: InputFile = pickle.load(requests)
        except EOFError:
            return
        for block in parse_split(task, Split(0, (file,))):
            row: tuple[str, Any]
            if isinstance(block, SplitTotals):
                row = "", block.to_bytes()
            else:
                row = block.table, pack(block.batch)
            pickle.dump(row, rows)
        rows.flush()
        answers.write(b".")
        answers.flush()


if __name__ == "__main__":
    with open(int(sys.argv[1]), "wb", closefd=False) as _rows:
        _serve(sys.stdin.buffer, sys.stdout.buffer, _rows)
