"""What the commands have in common that parse and write nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.batches import ROOT, al3, put, put_fatal_hook


@pytest.mark.newest
@pytest.mark.spark
@pytest.mark.parametrize("command", [("validate",), ("dictionary", "coverage")])
def test_file_that_kills_its_worker_costs_only_itself(tmp_path: Path, command: tuple[str, ...]) -> None:
    source = put(tmp_path / "in", {"a.al3": al3(1), "exits.al3": al3(2), "z.al3": al3(3)})
    hook = f"{put_fatal_hook(tmp_path / 'hook')}{os.pathsep}{ROOT}"
    ended = subprocess.run(
        [sys.executable, "-m", "al3spark.cli", *command, str(source), "--json"],
        env={**os.environ, "PYTHONPATH": hook},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    found = json.loads(ended.stdout)
    assert (found["files"], found["records"]) == (3, 20)
    if command == ("validate",):
        assert list(found["faults"]) == ["FILE_CRASHED_WORKER"]
    else:
        assert found["failed"] == 1
