import numpy as np
import pytest

from al3spark.al3.records import PADDING, Window
from al3spark.al3.tails import Tails, cut_tails, join_tails

WINDOW = Window(b"abcdefghij\0l" + PADDING, has_nuls=True)


def tails(*records: tuple[int, int]) -> Tails:
    """Tails behind 2 bytes of records, each given as (position, size)."""
    positions, sizes = np.array(records).T
    return cut_tails(WINDOW, positions, sizes, 2)


@pytest.mark.parametrize(
    ("records", "column"),
    [
        ([(0, 2), (3, 1)], [None, None]),
        ([(0, 4), (4, 4)], [b"cd", b"gh"]),
        ([(0, 5), (4, 2), (5, 3), (8, 4)], [b"cde", None, b"h", b"\0l"]),
    ],
)
def test_tail_is_what_follows_the_layout_byte_for_byte(
    records: list[tuple[int, int]], column: list[bytes | None]
) -> None:
    array = tails(*records).column()
    array.validate(full=True)
    assert array.to_pylist() == column


@pytest.mark.parametrize("row", range(6))
def test_tails_that_are_joined_and_split_stay_with_their_records(row: int) -> None:
    joined = join_tails([tails((0, 5), (4, 2)), tails((0, 1)), tails((5, 3), (8, 4))])
    left, right = joined.split(row)
    assert left.column().to_pylist() + right.column().to_pylist() == [b"cde", None, None, b"h", b"\0l"]
    assert len(left.sizes) == row
