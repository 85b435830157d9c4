"""Which columns the rows of a job had, when they are in a merged file."""

import pyarrow as pa

from al3spark.parquet.origins import columns_of, keep_origins, tells_origins


def schema(*names: str) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


def test_a_file_that_a_job_wrote_has_its_columns() -> None:
    assert columns_of(schema("a", "b"), "job-1") == ["a", "b"]
    assert not tells_origins(schema("a", "b"))


def test_a_merged_file_tells_what_each_job_had() -> None:
    merged = keep_origins(
        schema("b", "c", "a"), [(schema("a", "b"), ["job-1"]), (schema("b", "c", "a"), ["job-2"])]
    )
    assert merged.names == ["b", "c", "a"]
    assert columns_of(merged, "job-1") == ["a", "b"]
    assert columns_of(merged, "job-2") == ["b", "c", "a"]


def test_what_is_merged_again_tells_it_still() -> None:
    first = keep_origins(schema("a", "b"), [(schema("a"), ["job-1"]), (schema("a", "b"), ["job-2"])])
    second = keep_origins(
        schema("a", "b", "c"), [(first, ["job-1", "job-2"]), (schema("a", "b", "c"), ["job-3"])]
    )
    assert [columns_of(second, f"job-{n}") for n in (1, 2, 3)] == [["a"], ["a", "b"], ["a", "b", "c"]]


def test_a_file_in_which_all_had_all_columns_tells_nothing() -> None:
    assert not tells_origins(keep_origins(schema("a"), [(schema("a"), ["job-1"])]))
