"""The rule by which queries count rows, and the curated views: in DuckDB, in Spark and as Athena parses."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.al3.tables import table_schemas
from al3spark.catalogs.views import CURATED, CURRENT_FILES, Dialect, find_needs, read_sql, view_statements
from al3spark.store.files_table import FILES_SCHEMA
from tests.readme import QUESTIONS
from tests.tables import DAY, Row, open_quick_session


def fact(
    at: int, job_id: str, path: str, file_id: str | None, status: str = "succeeded", **more: str
) -> dict[str, object]:
    """A row of `files` that was finished at a second."""
    finished = datetime(2026, 1, 2, 0, 0, at, tzinfo=UTC)
    return {
        "job_id": job_id,
        "file_path": path,
        "file_id": file_id,
        "status": status,
        "finished_at": finished,
        **more,
    }


# What is in `files`, and the (job_id, file_id, file_path) that are current. Every case has paths and contents
# of its own, so that all can be in one table.
CASES: dict[str, tuple[list[dict[str, object]], set[tuple[str, str, str]]]] = {
    "files that succeeded are current": (
        [fact(1, "j1", "a/x", "a1"), fact(1, "j1", "a/y", "a2", "succeeded_with_faults")],
        {("j1", "a1", "a/x"), ("j1", "a2", "a/y")},
    ),
    "failed and skipped files are not": (
        [fact(1, "j1", "b/x", "b1", "failed"), fact(1, "j1", "b/y.zip", None, "skipped", reason="archive")],
        set(),
    ),
    "the newest version of a path is current, whatever the order of rows": (
        [fact(2, "j2", "c/x", "c2"), fact(3, "j3", "c/x", "c3"), fact(1, "j1", "c/x", "c1")],
        {("j3", "c3", "c/x")},
    ),
    "a version that failed leaves the one before it current": (
        [
            fact(1, "j1", "d/x", "d1"),
            fact(2, "j2", "d/x", "d2", "failed"),
            fact(3, "j3", "d/x", None, "failed"),
        ],
        {("j1", "d1", "d/x")},
    ),
    "a duplicate adds nothing": (
        [fact(1, "j1", "e/x", "e1"), fact(2, "j2", "e/y", "e1", "skipped", duplicate_of="e/x")],
        {("j1", "e1", "e/x")},
    ),
    "a content stays current while another path holds it": (
        [
            fact(1, "j1", "f/x", "f1"),
            fact(2, "j2", "f/y", "f1", "skipped", duplicate_of="f/x"),
            fact(3, "j3", "f/x", "f2"),
        ],
        {("j1", "f1", "f/x"), ("j3", "f2", "f/x")},
    ),
    "a path whose content became that of another path has no current version of its own": (
        [
            fact(1, "j1", "g/x", "g1"),
            fact(1, "j1", "g/y", "g2"),
            fact(2, "j2", "g/x", "g2", "skipped", duplicate_of="g/y"),
        ],
        {("j1", "g2", "g/y")},
    ),
    "a path that went back to its first content has that as current": (
        [
            fact(1, "j1", "h/x", "h1"),
            fact(2, "j2", "h/x", "h2"),
            fact(3, "j3", "h/x", "h1", "skipped", duplicate_of="h/x"),
        ],
        {("j1", "h1", "h/x")},
    ),
    "a version that was replaced is not current, even if another path holds it": (
        [
            fact(1, "j1", "i/x", "i1"),
            fact(2, "j2", "i/y", "i1", "skipped", duplicate_of="i/x"),
            fact(3, "j3", "i/x", "i2", replaces="i1"),
        ],
        {("j3", "i2", "i/x")},
    ),
    "a file that was processed again is current in the later job only": (
        [fact(1, "j1", "k/x", "k1"), fact(2, "j2", "k/x", "k1", replaces="k1")],
        {("j2", "k1", "k/x")},
    ),
    "a content that came back after it was replaced is current again": (
        [
            fact(1, "j1", "l/x", "l1"),
            fact(2, "j2", "l/x", "l2", replaces="l1"),
            fact(3, "j3", "l/x", "l1", replaces="l2"),
        ],
        {("j3", "l1", "l/x")},
    ),
    "a file that failed when it was processed again is gone": (
        [fact(1, "j1", "m/x", "m1"), fact(2, "j2", "m/x", None, "failed", replaces="m1")],
        set(),
    ),
    "a content that two jobs ingested is current once": (
        [fact(1, "j1", "n/x", "n1"), fact(2, "j2", "n/y", "n1")],
        {("j2", "n1", "n/y")},
    ),
    "rows that a compaction shows twice count once": (
        [fact(1, "j1", "o/x", "o1"), fact(1, "j1", "o/x", "o1"), fact(1, "j1", "o/y", "o2")],
        {("j1", "o1", "o/x"), ("j1", "o2", "o/y")},
    ),
}


@pytest.fixture
def query() -> Callable[[Path, str], list[Row]]:
    """query(parquet file of `files`, what to select from `current_files`), by DuckDB."""

    def run(path: Path, what: str) -> list[Row]:
        with duckdb.connect() as session:
            session.execute(
                f"CREATE VIEW files AS SELECT * FROM read_parquet('{path}', hive_partitioning = true)"
            )
            session.execute(f"CREATE VIEW current_files AS {read_sql(CURRENT_FILES)}")
            return list(session.execute(f"SELECT {what} FROM current_files").fetchall())

    return run


@pytest.mark.parametrize(("facts", "expected"), CASES.values(), ids=CASES.keys())
def test_current_files_by_duckdb(
    tmp_path: Path,
    query: Callable[[Path, str], list[Row]],
    facts: list[dict[str, object]],
    expected: set[tuple[str, str, str]],
) -> None:
    (tmp_path / DAY).mkdir()
    pq.write_table(pa.Table.from_pylist(facts, FILES_SCHEMA), tmp_path / DAY / "part.parquet")
    found = query(tmp_path / DAY / "part.parquet", "job_id, file_id, file_path")
    assert sorted(found) == sorted(expected)


@pytest.mark.spark
def test_current_files_by_spark(tmp_path: Path, spark: Any) -> None:
    facts = [fact for facts, _ in CASES.values() for fact in facts]
    (tmp_path / "files" / DAY).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(facts, FILES_SCHEMA), tmp_path / "files" / DAY / "part.parquet")
    session = open_quick_session(spark)
    session.read.parquet(str(tmp_path / "files")).createOrReplaceTempView("files")
    found = session.sql(read_sql(CURRENT_FILES))
    assert found.columns == FILES_SCHEMA.names
    rows = [(row["job_id"], row["file_id"], row["file_path"]) for row in found.collect()]
    assert sorted(rows) == sorted(pair for _, expected in CASES.values() for pair in expected)


# Curated views: a destination of three files, of which only one counts. All people and policies are invented.

DICTIONARY = load_dictionary()
SCHEMAS = {
    **{
        table: pa.schema([pa.field("job_id", pa.string(), nullable=False), *schema])
        for table, schema in table_schemas(DICTIONARY.layouts).items()
    },
    "files": FILES_SCHEMA,
}
JOB, LATER = "batch-20260102-aaaaaa", "batch-20260103-bbbbbb"
GONE, OURS, UNCOMMITTED = "a" * 32, "b" * 32, "c" * 32

Rows = list[dict[str, object]]


def of(transaction: int | None, **more: object) -> dict[str, object]:
    """What every row of a transaction says, beside what is its own."""
    return {**CONTEXTS.get(transaction, {}), "transaction_offset": transaction, **more}


def about(
    policy: str | None, line: str | None, kind: str, purpose: str | None, day: date, function: str = "FMG"
) -> dict[str, object]:
    return {
        "policy_number": policy,
        "line_of_business": line,
        "transaction_function": function,
        "business_purpose": purpose,
        "transaction_kind": kind,
        "transaction_effective_date": day,
    }


# An automobile policy that is new, changed and renewed, a quote for it, a home policy, and a payment.
# A partial image changes the renewal, and another policy came as a partial image only.
CONTEXTS: dict[int | None, dict[str, object]] = {
    100: about("A1", "AUTOP", "new_business", "NBS", date(2025, 1, 1)),
    200: about("A1", "AUTOP", "change", "PCH", date(2025, 3, 1)),
    300: about("A1", "AUTOP", "renewal", "RWL", date(2025, 7, 1)),
    400: about("A1", "AUTOP", "quote", "RWQ", date(2025, 7, 1)),
    500: about("H1", "HOME", "new_business", "NBS", date(2025, 2, 1)),
    600: about(None, None, "billing", "PMT", date(2025, 2, 2)),
    700: about("A1", "AUTOP", "change", "PCH", date(2025, 8, 1), "PMG"),
    800: about("A2", "AUTOP", "change", "PCH", date(2025, 8, 1), "PMG"),
}


def policy(transaction: int, at: int, term: int, current: str, net: str) -> dict[str, object]:
    """A policy of a term that begins in a month of 2025."""
    line = CONTEXTS[transaction]["line_of_business"]
    return of(
        transaction,
        record_offset=at,
        company_code="CARR",
        line_of_business_code=line,
        policy_effective_date=date(2025, term, 1),
        policy_expiration_date=date(2026, term, 1),
        written_amount=Decimal(current),
        current_term_amount=Decimal(current),
        net_change_amount=Decimal(net),
    )


TABLES: dict[str, Rows] = {
    "messages": [{"record_offset": 0, "message_address_origination": "CARRIER01"}],
    "transactions": [
        {**CONTEXTS[at], "record_offset": at, "message_offset": 0, "transaction_date": date(2025, 1, day)}
        for at, day in ((100, 1), (200, 2), (300, 3), (400, 4), (500, 5), (600, 6), (700, 7), (800, 8))
    ],
    "policies": [
        policy(100, 110, 1, "100.00", "100.00"),
        policy(200, 210, 1, "120.00", "20.00"),
        policy(300, 310, 7, "126.00", "126.00"),
        policy(400, 410, 7, "999.00", "999.00"),
        policy(500, 510, 2, "800.00", "800.00"),
        policy(700, 710, 7, "130.00", "4.00"),
        policy(800, 810, 7, "90.00", "1.00"),
        # A second policy in the transaction of the first, and one whose transaction is not known.
        {**policy(500, 511, 2, "50.00", "50.00"), "policy_number": "H2"},
        {**policy(500, 512, 2, "1.00", "1.00"), "transaction_offset": None, "transaction_kind": None},
    ],
    "insureds": [
        of(
            100,
            record_offset=101,
            processing_level="B1",
            iteration=1,
            insureds_name="          JANE            EXAMPLE",
            insureds_name_first="JANE",
            insureds_name_last="EXAMPLE",
        ),
        of(500, record_offset=501, processing_level="B1", iteration=1, insureds_name="SAMPLE & SONS"),
        of(500, record_offset=503, processing_level="B1", iteration=2, insureds_name="SOMEBODY ELSE"),
    ],
    "insured_addresses": [
        of(100, record_offset=102, processing_level="B1", iteration=1, state_province_abbreviation="OH"),
        of(500, record_offset=504, processing_level="B1", iteration=2, state_province_abbreviation="TX"),
    ],
    "locations": [
        of(100, record_offset=120, parent_offset=110, location_number=1, state_province_abbreviation="OH"),
        of(500, record_offset=520, parent_offset=510, location_number=1, state_province_abbreviation="TX"),
    ],
    "vehicles": [
        of(100, record_offset=130, parent_offset=120, company_vehicle_number=1, vin="V1"),
        of(100, record_offset=140, parent_offset=120, agency_vehicle_number=2, vin="V2"),
        of(100, record_offset=150, parent_offset=120, company_vehicle_number=3, vin="V3"),
        of(100, record_offset=160, parent_offset=120, company_vehicle_number=4, vin="V4"),
        of(300, record_offset=330, company_vehicle_number=1, vin="V1", vehicle_registration_state="NY"),
    ],
    "vehicle_physical_damage": [
        of(
            100,
            record_offset=131,
            parent_offset=130,
            driver_number1=2,
            driver_1_percent=90,
            driver_number6=1,
            driver_6_percent=10,
        ),
        of(100, record_offset=141, parent_offset=140, driver_number1=0),
        of(100, record_offset=161, parent_offset=160, driver_number1=0, driver_number3=7),
    ],
    "drivers": [
        of(
            100,
            record_offset=111,
            parent_offset=110,
            company_drivers_number=1,
            drivers_name_first="JANE",
            drivers_name_middle="Q",
            drivers_name_last="EXAMPLE",
        ),
        of(100, record_offset=113, parent_offset=110, agency_drivers_number=2, drivers_name="JIM EXAMPLE"),
    ],
    "driver_supplements": [of(100, record_offset=112, parent_offset=111, vehicle_principally_driven=2)],
    "auto_coverages": [
        of(
            100,
            record_offset=132,
            parent_offset=130,
            coverage_code_personal_automobile="BI",
            limit1=50_000,
            limit2=100_000,
            full_term_premium=Decimal("60.00"),
        ),
        of(
            300,
            record_offset=332,
            parent_offset=330,
            coverage_code_personal_automobile="COLL",
            deductible=500,
            full_term_premium=Decimal("70.00"),
        ),
        of(
            700,
            record_offset=732,
            coverage_code_personal_automobile="COMP",
            full_term_premium=Decimal("4.00"),
        ),
    ],
    "dwellings": [of(500, record_offset=530, parent_offset=520, year_built=1987)],
    "home_coverages": [
        of(
            500,
            record_offset=531,
            parent_offset=530,
            coverage_code="DWELL",
            homeowners_limit1=310_000,
            first_deductible=1_000,
            second_deductible=2_500,
            full_term_premium=Decimal("800.00"),
            form_number="EX0001",
            coverage_effective_date=date(2025, 2, 1),
        )
    ],
    "commercial_coverages": [
        of(500, record_offset=521, parent_offset=520, coverage_code="GL", limit1=1_000_000)
    ],
}


def put_table(folder: Path, table: str, job_id: str, rows: Rows) -> None:
    (folder / table / DAY).mkdir(parents=True, exist_ok=True)
    path = folder / table / DAY / f"part-{job_id}-000000-00000.parquet"
    pq.write_table(pa.Table.from_pylist(rows, SCHEMAS[table]), path)


def put_tables(folder: Path, *tables: str) -> list[str]:
    """Write tables: our rows, and the same as of a content that was replaced and of one without a commit."""
    ledger = [
        fact(1, JOB, "in/x", GONE),
        fact(2, LATER, "in/x", OURS, replaces=GONE),
        fact(3, LATER, "in/y", None, "failed"),
    ]
    put_table(folder, "files", LATER, ledger)
    for table in tables:
        for job_id, file_ids in ((JOB, (GONE,)), (LATER, (OURS, UNCOMMITTED))):
            keys = [{"job_id": job_id, "file_id": each, "record_length": 10} for each in file_ids]
            put_table(folder, table, job_id, [{**row, **key} for key in keys for row in TABLES[table]])
    return ["files", *tables]


@dataclass(frozen=True, slots=True)
class Session:
    """Where SQL runs: a statement gives rows."""

    dialect: Dialect
    run: Callable[[str], list[Row]]

    def select(self, query: str) -> list[Row]:
        """Rows, sorted."""
        return sorted(self.run(query), key=repr)

    def describe(self, view: str) -> list[Row]:
        """Names and types of columns."""
        return [row[:2] for row in self.run(f"DESCRIBE {view}")]


Open = Callable[[], Session]


@pytest.fixture(scope="module", params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def open_session(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens a session of DuckDB, or of Spark, that has no views yet."""
    with ExitStack() as stack:

        def open_duckdb() -> Session:
            connection = stack.enter_context(duckdb.connect())
            return Session("duckdb", lambda query: connection.execute(query).fetchall())

        def open_spark() -> Session:
            spark = open_quick_session(request.getfixturevalue("spark"))
            return Session("spark", lambda query: [tuple(row) for row in spark.sql(query).collect()])

        yield {"duckdb": open_duckdb, "spark": open_spark}[request.param]


def make_views(session: Session, folder: Path, tables: list[str]) -> Session:
    for statement in view_statements(str(folder), tables, session.dialect, DICTIONARY):
        session.run(statement)
    return session


@pytest.fixture(scope="module")
def views(open_session: Open, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The views of a destination in which every table has files."""
    folder = tmp_path_factory.mktemp("it's here")
    return make_views(open_session(), folder, put_tables(folder, *TABLES))


@pytest.fixture(scope="module")
def views_of_little(open_session: Open, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The views of a destination in which few tables have files."""
    folder = tmp_path_factory.mktemp("little")
    return make_views(open_session(), folder, put_tables(folder, "messages"))


def test_a_transaction_has_its_first_policy_its_first_insured_and_its_sender(views: Session) -> None:
    query = """
        SELECT transaction_offset, sender, transaction_kind, transaction_date, policy_number,
            line_of_business, current_term_premium, insured_name, insured_state, file_path
        FROM policy_transactions
    """
    days = [date(2025, 1, day) for day in range(1, 9)]
    a, h, sender, path = ("A1", "AUTOP"), ("H1", "HOME"), "CARRIER01", "in/x"
    assert views.select(query) == [
        (100, sender, "new_business", days[0], *a, Decimal("100.00"), "JANE EXAMPLE", "OH", path),
        (200, sender, "change", days[1], *a, Decimal("120.00"), None, None, path),
        (300, sender, "renewal", days[2], *a, Decimal("126.00"), None, None, path),
        (400, sender, "quote", days[3], *a, Decimal("999.00"), None, None, path),
        # The address that is there is that of another insured.
        (500, sender, "new_business", days[4], *h, Decimal("800.00"), "SAMPLE & SONS", None, path),
        (600, sender, "billing", days[5], None, None, None, None, None, path),
        (700, sender, "change", days[6], *a, Decimal("130.00"), None, None, path),
        (800, sender, "change", days[7], "A2", "AUTOP", Decimal("90.00"), None, None, path),
    ]


def test_coverages_of_all_lines_have_the_same_columns_and_what_they_cover(views: Session) -> None:
    query = """
        SELECT record_offset, policy_number, coverage_type, coverage_code, limit1, limit2, deductible1,
            deductible2, full_term_premium, form_number, coverage_effective_date, state, location_number,
            vehicle_number, vin, year_built
        FROM coverages
    """
    first, day = Decimal("60.00"), date(2025, 2, 1)
    collision, dwelling = (None, None, 500, None, Decimal("70.00")), (310_000, None, 1_000, 2_500)
    assert views.select(query) == [
        (132, "A1", "auto", "BI", 50_000, 100_000, None, None, first, None, None, "OH", 1, 1, "V1", None),
        # Without a location it is where the vehicle is registered.
        (332, "A1", "auto", "COLL", *collision, None, None, "NY", None, 1, "V1", None),
        (521, "H1", "commercial", "GL", 1_000_000, *[None] * 6, "TX", 1, None, None, None),
        (531, "H1", "home", "DWELL", *dwelling, Decimal("800.00"), "EX0001", day, "TX", 1, None, None, 1987),
        (732, "A1", "auto", "COMP", *[None] * 4, Decimal("4.00"), *[None] * 7),
    ]


def test_a_vehicle_has_the_drivers_that_the_data_names_else_all_of_its_transaction(views: Session) -> None:
    query = """
        SELECT vehicle_offset, vehicle_number, vin, driver_number, driver_name, driver_percent, assigned_by
        FROM vehicles_drivers
    """
    assert views.select(query) == [
        (130, 1, "V1", 1, "JANE Q EXAMPLE", 10, "vehicle"),
        (130, 1, "V1", 2, "JIM EXAMPLE", 90, "vehicle"),
        (140, 2, "V2", 1, "JANE Q EXAMPLE", None, "driver"),
        (150, 3, "V3", 1, "JANE Q EXAMPLE", None, "transaction"),
        (150, 3, "V3", 2, "JIM EXAMPLE", None, "transaction"),
        # Its driver has number 7, and is not in the transaction.
        (160, 4, "V4", None, None, None, "unknown"),
        (330, 1, "V1", None, None, None, None),
    ]


def test_a_term_has_the_premium_that_its_latest_transaction_leaves(views: Session) -> None:
    query = """
        SELECT policy_number, line_of_business, policy_effective_date, policy_expiration_date,
            written_premium, current_term_premium, net_change_premium, transactions,
            latest_transaction_kind, latest_transaction_effective_date, transaction_offset
        FROM premium_by_policy
    """
    first, second, home = date(2025, 1, 1), date(2025, 7, 1), date(2025, 2, 1)
    spring, summer = date(2025, 3, 1), date(2025, 8, 1)
    ends, renewed_ends, home_ends = date(2026, 1, 1), date(2026, 7, 1), date(2026, 2, 1)
    changed, renewed = [Decimal("120.00")] * 2, [Decimal("130.00")] * 2
    partial, new, other = [Decimal("90.00")] * 2, [Decimal("800.00")] * 3, [Decimal("50.00")] * 3
    assert views.select(query) == [
        ("A1", "AUTOP", first, ends, *changed, Decimal("20.00"), 2, "change", spring, 200),
        ("A1", "AUTOP", second, renewed_ends, *renewed, Decimal("4.00"), 2, "change", summer, 700),
        ("A2", "AUTOP", second, renewed_ends, *partial, Decimal("1.00"), 1, "change", summer, 800),
        ("H1", "HOME", home, home_ends, *new, 1, "new_business", home, 500),
        ("H2", "HOME", home, home_ends, *other, 1, "new_business", home, 500),
    ]


def test_a_term_tells_its_latest_full_image_beside_a_later_partial_one(views: Session) -> None:
    query = """
        SELECT policy_number, transaction_offset, latest_transaction_function,
            image_job_id, image_file_id, image_transaction_offset
        FROM premium_by_policy
    """
    assert views.select(query) == [
        ("A1", 200, "FMG", LATER, OURS, 200),
        ("A1", 700, "PMG", LATER, OURS, 300),
        ("A2", 800, "PMG", None, None, None),
        ("H1", 500, "FMG", LATER, OURS, 500),
        ("H2", 500, "FMG", LATER, OURS, 500),
    ]


def test_coverages_tell_whether_they_came_in_a_full_image(views: Session) -> None:
    query = "SELECT transaction_function, record_offset FROM coverages"
    assert views.select(query) == [
        ("FMG", 132),
        ("FMG", 332),
        ("FMG", 521),
        ("FMG", 531),
        ("PMG", 732),
    ]


def test_a_coverage_is_of_one_policy_in_the_walk_through_if_its_transaction_has_two(views: Session) -> None:
    query, _ = QUESTIONS[0]
    joined = query[query.index("FROM coverages AS c") : query.index("WHERE")]
    assert views.select(f"SELECT c.record_offset, p.policy_number {joined}") == [
        (332, "A1"),
        (521, "H1"),
        (531, "H1"),
    ]


@pytest.mark.parametrize("view", CURATED)
def test_a_view_is_the_same_but_empty_where_tables_have_no_files_yet(
    view: str, views: Session, views_of_little: Session
) -> None:
    assert views_of_little.select(f"SELECT * FROM {view}") == []
    assert views_of_little.describe(view) == views.describe(view)


def test_views_read_a_place_whose_name_looks_like_a_glob(open_session: Open, tmp_path: Path) -> None:
    folder = tmp_path / "[prod] a*b?c {x,y}" / "it's"
    session = make_views(open_session(), folder, put_tables(folder, "messages"))
    query = "SELECT message_address_origination, COUNT(*) FROM messages GROUP BY 1"
    assert session.select(query) == [("CARRIER01", 3)]


@pytest.mark.parametrize("view", CURATED)
def test_what_a_view_needs_is_what_a_parser_of_sql_finds(view: str) -> None:
    found: dict[str, set[str]] = {}
    for scope in traverse_scope(sqlglot.parse_one(read_sql(view), read="trino")):
        for column in scope.columns:
            source = scope.sources[column.table]
            if isinstance(source, exp.Table):
                found.setdefault(source.name, set()).add(column.name)
    assert find_needs(read_sql(view)) == found


@pytest.mark.parametrize("view", [CURRENT_FILES, *CURATED])
def test_athena_reads_a_view(view: str) -> None:
    (statement,) = (
        each for each in view_statements("", (), "athena", DICTIONARY) if f"VIEW {view} AS" in each
    )
    for dialect in ("athena", "trino"):
        (parsed,) = sqlglot.parse(statement, read=dialect)
        assert isinstance(parsed, exp.Create)
        assert (parsed.kind, parsed.this.name) == ("VIEW", view)


def test_athena_gets_curated_views_only() -> None:
    made = [sqlglot.parse_one(each, read="trino") for each in view_statements("", (), "athena", DICTIONARY)]
    assert [each.this.name for each in made] == [CURRENT_FILES, *CURATED]
    assert {each.args["replace"] for each in made} == {True}


@pytest.mark.parametrize("view", [CURRENT_FILES, *CURATED])
def test_the_sql_of_a_view_can_be_cut_at_semicolons(view: str) -> None:
    assert not set(';"`') & set(read_sql(view))
    assert all("'" not in line for line in read_sql(view).splitlines() if line.lstrip().startswith("--"))


def test_the_view_of_files_has_all_their_columns() -> None:
    query = sqlglot.parse_one(read_sql(CURRENT_FILES), read="trino")
    assert isinstance(query, exp.Select)
    assert query.named_selects == FILES_SCHEMA.names


def lay_over(folder: Path, groups: str = "", elements: str = "") -> Dictionary:
    """A dictionary of which some rows are the user's own."""
    folder.mkdir()
    (folder / "groups.csv").write_text("group,table,name\n" + groups)
    (folder / "elements.csv").write_text("group,element,start,length,kind\n" + elements)
    return load_dictionary(folder)


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        (
            {"elements": "5LAG,location_number,30,4,integer\n5LAG,city,94,19,text\n"},
            "-- coverages is left out: locations has no column state_province_abbreviation\n",
        ),
        (
            {"groups": "6PVH,damage,Damage\n"},
            "-- vehicles_drivers is left out: the dictionary has no table vehicle_physical_damage\n",
        ),
        (
            {"groups": "CVH1,coverages,Own\n", "elements": "CVH1,code,30,4,code\n"},
            "-- coverages is left out: the dictionary has a table coverages\n",
        ),
    ],
    ids=["no column", "no table", "its name is taken"],
)
def test_a_view_that_the_dictionary_does_not_allow_is_left_out(
    rows: Mapping[str, str], note: str, tmp_path: Path
) -> None:
    dictionary = lay_over(tmp_path / "own", **rows)
    missing = note.split()[1]
    for dialect in ("spark", "athena", "duckdb"):
        script = "".join(f"{each};\n" for each in view_statements("there", ("files",), dialect, dictionary))
        assert script.startswith(note)
        made = [view for view in CURATED if f"VIEW {view} AS\n" in script]
        assert made == [view for view in CURATED if view != missing]
