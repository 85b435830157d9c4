"""The analyst's first half hour in the README: its commands and its SQL are run, and the results compared."""

import contextlib
import io
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from al3spark.cli import main
from tests.readme import QUESTIONS, WALK, WALK_COMMANDS
from tests.tables import Row, open_quick_session

pytestmark = [pytest.mark.spark, pytest.mark.newest]

Ask = Callable[[str], tuple[list[str], list[Row]]]


def run(command: str, folder: Path) -> None:
    """Run a command of the README in a folder, where it writes what it is told to."""
    words, _, written = command.partition(" > ")
    out = io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        pytest.raises(SystemExit) as ended,
    ):
        main(shlex.split(words)[1:])
    assert ended.value.code in (0, None)
    if written:
        (folder / written).write_text(out.getvalue())


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory, spark: object) -> Path:
    """A folder in which all commands of the section were run."""
    folder = tmp_path_factory.mktemp("walk")
    for command in WALK_COMMANDS:
        run(command, folder)
    return folder


@pytest.fixture(scope="module", params=["duckdb", "spark"])
def ask(request: pytest.FixtureRequest, walked: Path) -> Iterator[Ask]:
    """Ask a question: names of columns, and rows."""
    with duckdb.connect() as connection:

        def ask_duckdb(query: str) -> tuple[list[str], list[Row]]:
            done = connection.execute(query)
            return [each[0] for each in done.description or ()], done.fetchall()

        def ask_spark(query: str) -> tuple[list[str], list[Row]]:
            found = session.sql(query)
            return found.columns, [tuple(row) for row in found.collect()]

        if request.param == "duckdb":
            connection.execute((walked / "views.sql").read_text())
            yield ask_duckdb
            return
        session = open_quick_session(request.getfixturevalue("spark"))
        run(".venv/bin/al3spark views first/tables > spark.sql", walked)
        for statement in (walked / "spark.sql").read_text().removesuffix(";\n").split(";\n"):
            session.sql(statement)
        yield ask_spark


def test_three_questions_are_asked() -> None:
    assert len(QUESTIONS) == WALK.count("```sql") == 3
    assert [command.split()[1] for command in WALK_COMMANDS] == ["sample", "ingest", "views"]


@pytest.mark.parametrize("question", range(len(QUESTIONS)))
def test_a_question_has_the_answer_that_is_shown(question: int, ask: Ask) -> None:
    query, shown = QUESTIONS[question]
    columns, rows = ask(query)
    header, _, *lines = shown.splitlines()
    assert header == line_of(columns)
    assert lines == [line_of(row) for row in rows]


def line_of(row: list[str] | Row) -> str:
    return f"| {' | '.join(str(each) for each in row)} |"
