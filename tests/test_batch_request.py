"""What `prepare` refuses of a request, and files that a request names."""

import json
from pathlib import Path

import boto3
import pytest

from al3spark.config import Archive, BatchRequest, Destination, OnFinish, Options, Source
from al3spark.errors import RequestError
from al3spark.preparing import Prepared, prepare
from tests.batches import al3, put, run, statuses


def ready(source: Source, destination: Path, options: Options | None = None) -> Prepared:
    return prepare(BatchRequest(source, Destination(str(destination)), options or Options(min_age_s=0)))


@pytest.mark.parametrize(
    ("source", "destination"),
    [("in", "in/out"), ("in", "in"), ("in/deeper", "in"), ("in/a.al3", "in"), ("link", "in")],
)
def test_a_source_that_overlaps_the_destination_is_refused(
    tmp_path: Path, source: str, destination: str
) -> None:
    put(tmp_path, {"in/a.al3": al3(1), "in/deeper/b.al3": al3(2)})
    (tmp_path / "link").symlink_to(tmp_path / "in/deeper")
    with pytest.raises(RequestError, match=r"^source and destination overlap: "):
        ready(Source(f"{tmp_path}/{source}"), tmp_path / destination)
    assert not (tmp_path / "in/_al3spark").exists()


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        (Archive("in/done"), "source and archive overlap"),
        (Archive(None, "in/bad"), "source and archive of failed files overlap"),
        (Archive("done", "."), "source and archive of failed files overlap"),
    ],
)
def test_a_source_that_overlaps_an_archive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Archive, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, {"in/a.al3": al3(1)})
    with pytest.raises(RequestError, match=f"^{expected}: "):
        ready(Source(f"{tmp_path}/in"), tmp_path / "out", Options(archive=archive))


def test_named_files_overlap_only_where_they_are(tmp_path: Path) -> None:
    put(tmp_path, {"in/a.al3": al3(1), "out/b.al3": al3(2)})
    assert ready(Source(str(tmp_path), files=("in/a.al3",)), tmp_path / "out")
    with pytest.raises(RequestError, match=r"^source and destination overlap: "):
        ready(Source(str(tmp_path), files=("in/a.al3", "out/b.al3")), tmp_path / "out")


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_only_named_files_are_read_and_one_that_is_missing_fails_alone(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"a.al3": al3(1), "b.al3": al3(2), "deeper/c.al3": al3(3)})
    named = Source(str(source), files=("deeper/c.al3", "a.al3", "none.zip"))
    assert run(ready(named, tmp_path / "out"))["status"] == "partial_success"
    assert statuses(tmp_path / "out", source) == {
        "a.al3": "succeeded",
        "deeper/c.al3": "succeeded",
        "none.zip": "failed",
    }


@pytest.mark.spark
@pytest.mark.s3
@pytest.mark.usefixtures("spark")
def test_command_and_topic_are_told_of_the_end(
    tmp_path: Path, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    sns, sqs = (boto3.client(name, endpoint_url=moto, region_name="us-east-1") for name in ("sns", "sqs"))
    topic = sns.create_topic(Name="batches")["TopicArn"]
    queue = sqs.create_queue(QueueName="operators")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    told = tmp_path / "told"
    who = OnFinish(("sh", "-c", f"echo $AL3SPARK_STATUS > {told}"), topic)
    put(tmp_path / "in", {"a.al3": al3(1)})
    manifest = run(ready(Source(str(tmp_path / "in")), tmp_path / "out", Options(on_finish=who, min_age_s=0)))
    assert told.read_text() == "completed\n"
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(json.loads(message["Body"])["Message"]) == {
        "job_id": manifest["job_id"],
        "status": "completed",
        "manifest": f"{tmp_path}/out/_al3spark/jobs/{manifest['job_id']}/manifest.json",
    }


@pytest.mark.spark
@pytest.mark.s3
@pytest.mark.usefixtures("spark")
def test_a_topic_that_is_not_there_is_told_and_does_no_harm(
    tmp_path: Path, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    put(tmp_path / "in", {"a.al3": al3(1)})
    who = OnFinish(sns_topic_arn="arn:aws:sns:us-east-1:123456789012:nobody")
    steps: list[str] = []
    prepared = ready(Source(str(tmp_path / "in")), tmp_path / "out", Options(on_finish=who, min_age_s=0))
    assert run(prepared, lambda progress: steps.append(progress.step))["status"] == "completed"
    assert steps[-1].startswith(f"on_finish: {who.sns_topic_arn}: An error occurred (NotFound)")
