import pytest

from tests.importing.exports import convert_rows

# Five elements of the starter's 5PAY, as they are; what the tests change is one of them.
PAY = (
    "5PAY,Payment Plan Code,30,2,code,01",
    "5PAY,Day of Month Due,32,2,N,02",
    "5PAY,Deposit Amount,34,12,$,03",
    "5PAY,Percent Down Payment,46,3,N,04",
    "5PAY,Number of Payments,49,2,N,05",
)


def changes(*rows: str) -> list[tuple[str, str, int, str]]:
    (group,) = convert_rows(*rows).report["groups"]
    return [tuple(change.values()) for change in group["changes"] if change["what"] != "gone"]


def gone(*rows: str) -> list[str]:
    (group,) = convert_rows(*rows).report["groups"]
    return [change["element"] for change in group["changes"] if change["what"] == "gone"]


def test_what_is_as_loaded_is_no_change() -> None:
    assert changes(*PAY) == []


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("5PAY,Bonus,300,4,N,99", [("new", "bonus", 7, "300-303, integer")]),
        ("5PAY,Rate,300,4,N,99,,,2", [("new", "rate", 7, "300-303, decimal with 2 decimals")]),
        (
            "5PAY,Elsewhere,300,2,N,06",
            [
                ("moved", "elsewhere", 7, "from 51-52 to 300-301"),
                ("renamed", "elsewhere", 7, "was number_of_months_between_payments"),
            ],
        ),
        ("5PAY,Installment Fee,53,7,$,07", [("longer", "installment_fee", 7, "5 to 7 bytes")]),
        ("5PAY,Installment Fee,53,4,$,07", [("shorter", "installment_fee", 7, "5 to 4 bytes")]),
        (
            "5PAY,Installment Fee,53,5,code,07",
            [("other kind", "installment_fee", 7, "amount with 2 decimals to code")],
        ),
        ("5PAY,Installment Fee,300,5,$", [("moved", "installment_fee", 7, "from 53-57 to 300-304")]),
    ],
)
def test_change_of_an_element_is_told(row: str, expected: list[tuple[str, str, int, str]]) -> None:
    assert changes(*PAY, row) == expected


def test_elements_that_the_file_lacks_are_gone() -> None:
    assert gone(*PAY)[:2] == ["number_of_months_between_payments", "installment_fee"]
    assert gone(*PAY, "5PAY,Installment Fee,300,5,$")[:2] == [
        "number_of_months_between_payments",
        "installment_percentage",
    ]


def test_other_table_is_a_change() -> None:
    report = convert_rows(*PAY).report
    assert report["groups"][0]["table"] == "payment_plans"


@pytest.mark.parametrize(("by", "side"), [(1, "1 byte after"), (-30, "30 bytes before")])
def test_wrong_count_shows(by: int, side: str) -> None:
    rows = [
        f"5DRV,{name},{start + by},{length},{kind}"
        for name, start, length, kind in (
            ("Social Security Number", 98, 9, "N"),
            ("Drivers License Number", 107, 25, "AN"),
            ("Licensed State", 132, 2, "AN"),
            ("Driver Sex Code", 146, 1, "AN"),
            ("Date of Birth", 160, 8, "D"),
        )
    ]
    warning = convert_rows(*rows).report["warning"]
    assert warning.startswith("5 of 5 elements of known groups start " + side)


def test_right_count_gives_no_warning() -> None:
    assert convert_rows(*PAY).report["warning"] == ""
