import numpy as np
import pytest

from al3spark.al3.cells import Matrix, decode_text, examine

ROWS = (b"A  B \xe9", b"   BC ", b"   B  ")


def matrix_of(*rows: bytes) -> Matrix:
    return examine(np.frombuffer(bytearray(b"".join(rows)), np.uint8).reshape(len(rows), -1))


def test_blank_columns_are_no_cells() -> None:
    matrix = matrix_of(*ROWS)
    assert matrix.cells(1, 3) is None
    cells = matrix.cells(0, 3)
    assert cells is not None
    assert cells.columns().tolist() == [[65, 32, 32], [32] * 3, [32] * 3]


@pytest.mark.parametrize(
    ("start", "end", "is_ascii", "texts"),
    [
        (0, 1, True, ["A", None, None]),
        (0, 4, True, ["A  B", "   B", "   B"]),
        (0, 3, True, ["A", None, None]),
        (4, 6, False, [" \xe9", "C", None]),
    ],
)
def test_text_is_null_where_it_is_blank(
    start: int, end: int, is_ascii: bool, texts: list[str | None]
) -> None:
    cells = matrix_of(*ROWS).cells(start, end)
    assert cells is not None
    assert cells.is_ascii == is_ascii
    array = decode_text(cells)
    array.validate(full=True)
    assert array.to_pylist() == texts


def test_text_is_null_where_the_caller_says_so() -> None:
    cells = matrix_of(*ROWS).cells(4, 6)
    assert cells is not None
    assert decode_text(cells, np.array([True, False, False])).to_pylist() == [None, "C", None]


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS])
def test_what_is_decoded_shares_no_memory_with_the_matrix(rows: tuple[bytes, ...]) -> None:
    matrix = matrix_of(*rows)
    cells = matrix.cells(3, 4)
    assert cells is not None
    text, columns = decode_text(cells), cells.columns()
    matrix.rows[:] = ord("x")
    assert text.to_pylist() == ["B"] * len(rows)
    assert columns.tolist() == [[66] * len(rows)]
