import pytest

from al3spark.importing.kinds import Meant, apply_rule, find_rule
from al3spark.importing.maps import Rule


@pytest.mark.parametrize(
    ("code", "length", "decimals", "kind", "scale"),
    [
        ("A", 5, None, "text", 0),
        ("an", 5, None, "text", 0),
        ("A/N", 5, 0, "text", 0),
        ("Alpha-Numeric", 5, None, "text", 0),
        ("N", 5, None, "integer", 0),
        ("Numeric", 5, 0, "integer", 0),
        ("N", 5, 2, "decimal", 2),
        ("N", 19, None, "text", 0),
        ("$", 12, None, "amount", 2),
        ("$", 12, 0, "amount", 0),
        ("Amount", 12, 5, "amount", 5),
        ("D", 6, None, "date_yymmdd", 0),
        ("Date", 8, None, "date_ccyymmdd", 0),
        ("D", 4, None, "month_mmyy", 0),
        ("TS", 15, None, "timestamp", 0),
        ("HHMM", 4, None, "time_hhmm", 0),
        ("Y/N", 1, None, "flag", 0),
        ("Y/N", 2, None, "code", 0),
        ("name", 60, None, "name", 0),
        ("name", 40, None, "text", 0),
        ("date_ccyymmdd", 8, None, "date_ccyymmdd", 0),
    ],
)
def test_usual_codes_mean_kinds(code: str, length: int, decimals: int | None, kind: str, scale: int) -> None:
    rule = find_rule(code, {})
    assert rule is not None
    meant = apply_rule(rule, length, decimals)
    assert (meant.kind, meant.scale) == (kind, scale)


def test_map_counts_more_than_what_is_usual() -> None:
    rules = {"A": Rule("amount", 3), "Z": Rule("date")}
    assert find_rule("a", rules) == Rule("amount", 3)
    assert find_rule("Z", rules) == Rule("date")
    assert apply_rule(Rule("amount", 3), 12, None) == Meant("amount", 3)


@pytest.mark.parametrize("code", ["", "K", "gap"])
def test_nobody_knows_other_codes(code: str) -> None:
    assert find_rule(code, {}) is None


def test_date_of_a_strange_length_is_refused() -> None:
    with pytest.raises(ValueError, match="is a date of 7 bytes; known are 4, 6, 8, 13, 15"):
        apply_rule(Rule("date"), 7, None)


@pytest.mark.parametrize(
    ("kind", "vague"), [("text", True), ("number", True), ("code", False), ("date", False)]
)
def test_only_characters_and_digits_are_vague(kind: str, vague: bool) -> None:
    assert apply_rule(Rule(kind), 8, None).vague is vague
