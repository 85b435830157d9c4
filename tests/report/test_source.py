import pytest

from al3spark.report.source import find_source

PATHS = ["/data/lake/in/carrier/a.al3", "/data/lake/in/b.al3"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("/data/lake/in", "/data/lake/in"),
        ("/data/lake/in/", "/data/lake/in"),
        ("/data/./lake//in", "/data/lake/in"),
        ("file:///data/lake/in", "/data/lake/in"),
        ("in", "/data/lake/in"),
        ("./lake/in/", "/data/lake/in"),
        ("../../lake/in", "/data/lake/in"),
        ("s3a://bucket/in/", "s3://bucket/in/"),
        ("elsewhere", "elsewhere"),
        (".", "."),
        ("", ""),
    ],
)
def test_a_source_is_named_as_the_paths_of_its_files_begin(asked: str, expected: str) -> None:
    assert find_source(asked, PATHS) == expected
