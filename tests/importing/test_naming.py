import pytest

from al3spark.importing.naming import Unnamed, assign_names, snake_case, table_name


def unnamed(
    said: str, kept: str = "", kind: str = "text", element_id: str = "", is_old: bool = False
) -> Unnamed:
    return Unnamed(said, kept, kind, element_id, is_old)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Policy Number", "policy_number"),
        ("POLICY NUMBER", "policy_number"),
        ("Insured's Name (First, M.I., Last)", "insureds_name_first_m_i_last"),
        ("Insured\u2019s Name", "insureds_name"),
        ("policyNumber", "policy_number"),
        ("ZIPCode", "zip_code"),
        ("MVR", "mvr"),
        ("Fire & E.C. Rate %", "fire_and_e_c_rate_percent"),
        ("# of Payments", "number_of_payments"),
        ("Größe/Höhe", "große_hohe".replace("ß", "")),
        ("1st Mortgagee", "element_1st_mortgagee"),
        ("already_snake_case", "already_snake_case"),
        ("***", ""),
        ("word " * 40, "_".join(["word"] * 20)),
        ("x" * 200, "x" * 100),
    ],
)
def test_name_in_a_file_becomes_a_column(text: str, name: str) -> None:
    assert snake_case(text) == name


def test_names_that_are_there_twice_get_the_element_id_or_a_number() -> None:
    elements = [unnamed("bill"), unnamed("bill", element_id="5PET05"), unnamed("bill"), unnamed("bill")]
    assert assign_names(elements) == ["bill", "bill_5pet05", "bill_2", "bill_3"]


def test_superseded_element_leaves_its_name_to_the_newer_one() -> None:
    assert assign_names([unnamed("city", is_old=True), unnamed("city")]) == ["city_superseded", "city"]


def test_kept_name_goes_to_nobody_else() -> None:
    assert assign_names([unnamed("city"), unnamed("town", kept="city")]) == ["city_2", "city"]


def test_parts_of_a_name_are_names_too() -> None:
    elements = [unnamed("owner", kind="name"), unnamed("owner_last"), unnamed("owner_last_2")]
    assert assign_names(elements) == ["owner", "owner_last_2", "owner_last_2_2"]


def test_group_that_says_what_a_transaction_is_about_can_have_the_name_of_that_column() -> None:
    assert assign_names([unnamed("policy_number")], "5BPI") == ["policy_number"]
    assert assign_names([unnamed("policy_number")], "2TRG") == ["element_policy_number"]


@pytest.mark.parametrize("said", ["iteration", "policy_number", "extra_bytes", "record_offset", "unnamed_30"])
def test_name_that_every_table_has_gets_a_word_in_front(said: str) -> None:
    assert assign_names([unnamed(said)]) == [f"element_{said}"]


def test_element_without_a_usable_name_is_an_element() -> None:
    assert assign_names([unnamed(""), unnamed("", element_id="5PET05")]) == ["element", "element_5pet05"]


@pytest.mark.parametrize(
    ("title", "table"),
    [
        ("Pets of the Household", "pets_of_the_household"),
        ("Taken", "taken_5pet"),
        ("", "group_5pet"),
        ("5PET", "group_5pet"),
        ("1st Pets", "group_5pet"),
    ],
)
def test_table_is_named_after_its_group(title: str, table: str) -> None:
    assert table_name(title, "5PET", {"taken"}) == table
