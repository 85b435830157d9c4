"""What machines read about a batch."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from al3spark import reporting
from al3spark.reporting import LogLines, Progress, open_metrics, run_hook

MANIFEST: dict[str, Any] = {
    "job_id": "batch-20260102-abc123",
    "status": "partial_success",
    "summary": {
        "processed": 4,
        "succeeded": 3,
        "failed": 1,
        "skipped": 2,
        "bytes": 1000,
        "duration_seconds": 2.5,
        "retries": 7,
    },
    "tables": {"policies": {"rows": 5, "files": 1, "bytes": 9}, "files": {"rows": 4, "files": 1, "bytes": 9}},
    "faults": {"file": {"FILE_EMPTY": 1}, "value": {"VALUE_INVALID": 12}},
}


def logged(*shown: Progress, emf: bool = False) -> list[dict[str, Any]]:
    stream = io.StringIO()
    with LogLines(emf, stream) as log:
        for progress in shown:
            log.show(progress)
        log.finish(MANIFEST)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_step_and_each_milestone_is_one_line() -> None:
    steps = [Progress("listing"), Progress("identifying", 4, 1000)]
    steps += [Progress("parsing", 4, 1000, percent / 100) for percent in range(0, 101, 5)]
    lines = logged(*steps)
    assert [(line["event"], line.get("percent")) for line in lines] == [
        ("listing", 0),
        ("identifying", 0),
        ("parsing", 0),
        ("parsing", 25),
        ("parsing", 50),
        ("parsing", 75),
        ("parsing", 100),
        ("ended", None),
    ]
    assert lines[-1] | {"at": ""} == {
        "at": "",
        "event": "ended",
        "job_id": "batch-20260102-abc123",
        "status": "partial_success",
        "files": 4,
        "failed": 1,
        "bytes": 1000,
        "seconds": 2.5,
    }


def test_a_milestone_that_is_jumped_over_is_not_made_up() -> None:
    lines = logged(Progress("parsing", 4, 1000, 0.1), Progress("parsing", 4, 1000, 0.8))
    assert [line["percent"] for line in lines[:-1]] == [0, 75]


def test_embedded_metrics_name_their_own_members() -> None:
    """The rules of the embedded metric format: every metric and dimension is a member of the line."""
    for line in logged(Progress("parsing", 4, 1000, 0.5), emf=True):
        directives = line["_aws"]["CloudWatchMetrics"]
        assert isinstance(line["_aws"]["Timestamp"], int)
        assert line["_aws"]["Timestamp"] > 1_700_000_000_000
        for directive in directives:
            assert directive["Namespace"] == "al3spark"
            assert directive["Metrics"]
            assert all(isinstance(line[metric["Name"]], int | float) for metric in directive["Metrics"])
            assert all(isinstance(line[name], str) for names in directive["Dimensions"] for name in names)


def test_metrics_are_gauges_with_labels_and_end_as_openmetrics_does() -> None:
    text = open_metrics(MANIFEST)
    job = 'job_id="batch-20260102-abc123",status="partial_success"'
    assert text.endswith("# EOF\n")
    lines = text.splitlines()
    assert f'al3spark_job_files{{{job},result="failed"}} 1' in lines
    assert f'al3spark_job_rows{{{job},table="policies"}} 5' in lines
    assert f'al3spark_job_faults{{{job},code="VALUE_INVALID"}} 12' in lines
    assert f"al3spark_job_bytes{{{job}}} 1000" in lines
    assert f"al3spark_job_duration_seconds{{{job}}} 2.5" in lines
    assert f"al3spark_job_retries{{{job}}} 7" in lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert len(names) == len(set(names)) == 6


def test_metrics_are_parsed_by_the_client_library_of_prometheus() -> None:
    families = {family.name: family for family in text_string_to_metric_families(open_metrics(MANIFEST))}
    assert {sample.labels["result"]: sample.value for sample in families["al3spark_job_files"].samples} == {
        "succeeded": 3,
        "failed": 1,
        "skipped": 2,
    }


WRITES = "import os, sys; open(sys.argv[1], 'w').write(' '.join(os.environ['AL3SPARK_' + name] for name in ('JOB_ID', 'STATUS', 'MANIFEST')))"  # noqa: E501


def test_a_hook_knows_job_status_and_manifest(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = (sys.executable, "-c", WRITES, str(told))
    assert run_hook(command, "batch-1", "completed", "/out/manifest.json") == ""
    assert told.read_text() == "batch-1 completed /out/manifest.json"


def test_a_hook_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "HOOK_S", 0.2)
    told = run_hook(("sleep", "60"), "batch-1", "failed", "/out/manifest.json")
    assert told == "on_finish: sleep did not end within 0 s and was killed"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("false",), "on_finish: false ended with 1"),
        (("/no/such/command", "x"), "on_finish: /no/such/command: No such file or directory"),
    ],
)
def test_a_hook_that_fails_is_one_line(command: tuple[str, ...], expected: str) -> None:
    assert run_hook(command, "batch-1", "failed", "/out/manifest.json") == expected
