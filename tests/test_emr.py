"""What conf/emr and conf/airflow hold: one set of settings, documents and commands that AWS understands."""

import ast
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from al3spark.requests import load_request
from tests.servers import ROOT, make_bucket

CONF = ROOT / "conf"
README = (ROOT / "README.md").read_text()
ON_EMR = README.partition("\n## On EMR\n")[2].partition("\n## ")[0]
DEFAULTS = dict(
    line.split(maxsplit=1)
    for line in (CONF / "spark-defaults.conf").read_text().splitlines()
    if line and not line.startswith("#")
)
STEP = json.loads((CONF / "emr/step.json").read_text())[0]
SERVERLESS = json.loads((CONF / "emr/serverless-job-run.json").read_text())
DAG = CONF / "airflow/al3spark_ingest.py"
PYTHON = "./environment/bin/python"


def settings_of(words: list[str]) -> dict[str, str]:
    """What `--conf name=value` says in a row of words."""
    return dict(word.split("=", 1) for option, word in itertools.pairwise(words) if option == "--conf")


def test_a_step_has_the_settings_that_have_reasons() -> None:
    assert settings_of(STEP["Args"]) == {"spark.pyspark.python": PYTHON, **DEFAULTS}


def test_a_serverless_run_has_the_same_but_for_yarn() -> None:
    found = settings_of(shlex.split(SERVERLESS["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]))
    assert found == {
        "spark.archives": "s3://CODE_BUCKET/al3spark/environment.tar.gz#environment",
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": PYTHON,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": PYTHON,
        "spark.executorEnv.PYSPARK_PYTHON": PYTHON,
        **{name: value for name, value in DEFAULTS.items() if not name.startswith("spark.yarn.")},
    }


def test_the_dag_has_the_settings_of_a_serverless_run() -> None:
    (assigned,) = (
        each.value
        for each in ast.parse(DAG.read_text()).body
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
        if each.targets[0].id == "SETTINGS"
    )
    found = eval(compile(ast.Expression(assigned), str(DAG), "eval"), {"CODE": "s3://CODE_BUCKET/al3spark"})
    words = shlex.split(SERVERLESS["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"])
    assert found == settings_of(words)


def test_every_placeholder_is_explained() -> None:
    texts = [path.read_text() for path in (*CONF.glob("emr/*.json"), DAG)]
    used = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", "\n".join([*texts, *commands()])))
    used = {each for each in used if not each.startswith("PYSPARK_")}
    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", ON_EMR, re.MULTILINE))
    assert used == explained


def commands() -> list[str]:
    """The commands of the README's part on EMR: continued lines joined, comments cut."""
    blocks = re.findall(r"^```\n(.*?)^```$", ON_EMR, re.MULTILINE | re.DOTALL)
    lines = re.sub(r" \\\n|(?<=,)\n", " ", "".join(blocks)).splitlines()
    return [line.partition("  #")[0].strip() for line in lines]


@pytest.fixture
def names(moto: str) -> dict[str, str]:
    """What stands for each placeholder: buckets, a cluster, an application and a role that are there."""
    aws = {"endpoint_url": moto}
    stays = {"KeepJobFlowAliveWhenNoSteps": True}
    run = boto3.client("emr", **aws).run_job_flow(Name="c", ReleaseLabel="emr-7.14.0", Instances=stays)
    emr_serverless = boto3.client("emr-serverless", **aws)
    application = emr_serverless.create_application(name="a", type="SPARK", releaseLabel="emr-7.14.0")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    boto3.client("iam", **aws).create_role(
        RoleName=(role := make_bucket(moto)), AssumeRolePolicyDocument=trust
    )
    buckets = ("CODE_BUCKET", "SOURCE_BUCKET", "DESTINATION_BUCKET", "ARCHIVE_BUCKET")
    return {
        **{name: make_bucket(moto) for name in buckets},
        "CLUSTER_ID": run["JobFlowId"],
        "APPLICATION_ID": application["applicationId"],
        "ACCOUNT_ID": "123456789012",
        "GLUE_DATABASE": make_bucket(moto),  # a name that nobody else has
        "JOB_ROLE": role,
    }


@pytest.fixture
def checkout(tmp_path: Path, names: dict[str, str]) -> Path:
    """A folder with what the commands take, in which placeholders are names already."""
    shutil.copytree(CONF, tmp_path / "conf")
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    for path in (tmp_path / "conf/emr").iterdir():
        path.write_text(fill_in(path.read_text(), names))
    for command in commands():
        for built in re.findall(r"dist/\S+", command):  # what scripts/package makes, see test_packaging.py
            (tmp_path / built).parent.mkdir(exist_ok=True)
            (tmp_path / built).write_bytes(b"built")
    return tmp_path


def test_the_request_is_valid_once_names_are_in_it(tmp_path: Path) -> None:
    filled = tmp_path / "batch.json"
    names = {"SOURCE_BUCKET": "my-files", "DESTINATION_BUCKET": "my-tables"}
    filled.write_text(fill_in((CONF / "emr/batch.json").read_text(), names))
    request = load_request(str(filled))
    assert (request.source.uri, request.destination.uri) == (
        "s3://my-files/incoming/",
        "s3://my-tables/tables/",
    )
    assert request.options.max_failed_ratio == 0.05


def fill_in(text: str, names: dict[str, str]) -> str:
    """Put names where placeholders stand."""
    return re.sub(r"\b[A-Z]+(?:_[A-Z]+)+\b", lambda found: names.get(found[0], found[0]), text)


@pytest.mark.s3
@pytest.mark.slow
def test_the_aws_commands_do_what_they_say(moto: str, names: dict[str, str], checkout: Path) -> None:
    aws = {"endpoint_url": moto}
    for command in commands():
        if command.startswith("aws "):
            done = subprocess.run(
                [Path(sys.executable).parent / "aws", *shlex.split(fill_in(command, names))[1:]],
                env=os.environ | {"AWS_ENDPOINT_URL": moto},
                capture_output=True,
                text=True,
                cwd=checkout,
                check=False,
            )
            assert done.returncode == 0, (command, done.stderr)

    s3 = boto3.client("s3", **aws)
    found = s3.list_objects_v2(Bucket=names["CODE_BUCKET"])["Contents"]
    there = {f"s3://{names['CODE_BUCKET']}/{each['Key']}" for each in found}
    (step,) = boto3.client("emr", **aws).list_steps(ClusterId=names["CLUSTER_ID"])["Steps"]
    arguments: list[Any] = step["Config"]["Args"]
    named = {word.partition("#")[0] for word in arguments if word.startswith("s3://")}
    assert (arguments[0], named) == ("spark-submit", there)

    serverless = boto3.client("emr-serverless", **aws)
    (run,) = serverless.list_job_runs(applicationId=names["APPLICATION_ID"])["jobRuns"]
    job = serverless.get_job_run(applicationId=names["APPLICATION_ID"], jobRunId=run["id"])["jobRun"]
    driver = job["jobDriver"]["sparkSubmit"]
    assert {driver["entryPoint"], driver["entryPointArguments"][1]} <= there
    assert (
        settings_of(shlex.split(driver["sparkSubmitParameters"]))["spark.archives"].partition("#")[0] in there
    )
    assert job["executionRole"] == f"arn:aws:iam::123456789012:role/{names['JOB_ROLE']}"

    rules = s3.get_bucket_lifecycle_configuration(Bucket=names["DESTINATION_BUCKET"])["Rules"]
    assert rules[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    policies = boto3.client("iam", **aws).list_role_policies(RoleName=names["JOB_ROLE"])["PolicyNames"]
    assert sorted(policies) == ["al3spark", "al3spark-archive", "al3spark-glue"]
