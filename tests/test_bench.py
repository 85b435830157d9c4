"""scripts/bench and the modules beside it, which are no package."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from al3spark.al3.decoding import DECODERS
from al3spark.al3.dictionary import load_dictionary
from al3spark.sampling import SENDERS, Sender, sample_bytes
from al3spark.sampling.senders import Form

ROOT = Path(__file__).resolve().parent.parent
PLAIN = tuple(sender for sender in SENDERS if sender.form is Form.PLAIN)


@pytest.fixture
def bench_format(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import bench_format

    return bench_format


@pytest.mark.parametrize("sender", PLAIN, ids=[sender.code for sender in PLAIN])
def test_baseline_and_parser_give_equal_tables(sender: Sender, bench_format: ModuleType) -> None:
    dictionary, data = load_dictionary(), sample_bytes(500_000, seed=2, sender=sender)
    expected = bench_format.parse_by_record(data, bench_format.FILE_ID, dictionary)
    got = bench_format.parse_format(data, dictionary)
    assert bench_format.differing(expected, got) == []
    assert len(expected) == 25


def test_tables_that_differ_are_named(bench_format: ModuleType) -> None:
    dictionary, data = load_dictionary(), sample_bytes(50_000, seed=2)
    expected = bench_format.parse_by_record(data, bench_format.FILE_ID, dictionary)
    got = bench_format.parse_format(data.replace(b"TOYOTA", b"TOYODA"), dictionary)
    del got["drivers"]
    assert bench_format.differing(expected, got) == ["drivers", "vehicles"]


def test_a_profile_leaves_the_parser_as_it_was(bench_format: ModuleType) -> None:
    before = dict(DECODERS)
    stages = bench_format.profile(sample_bytes(50_000, seed=2), load_dictionary())
    assert before == DECODERS
    assert {"expand", "frame", "link", "gather", "leading columns", "decode: name"} < stages.keys()


def test_bench_format_prints_and_writes_its_figures(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/bench", "format", "--mib", "4", "--runs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "figures.json")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert done.stdout.startswith("4.2 MB, ")
    assert "where the time goes" in done.stdout
    assert figures["mb_per_s"].keys() == {"baseline", "al3spark", "ratio"}
    assert [len(rates) for rates in figures["mb_per_s"].values()] == [1, 1, 1]
