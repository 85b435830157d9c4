"""Whose rows go when files change; without Spark."""

from collections.abc import Mapping
from dataclasses import dataclass

from al3spark.parquet.turnover import Turnover
from al3spark.store.ledger import Held


@dataclass(frozen=True, slots=True)
class FewFiles:
    """As much of a ledger as is asked: what each path holds."""

    held: Mapping[str, str]

    def held_by(self, paths: list[str]) -> list[Held | None]:
        return [Held(self.held[path], "job-1", path) if path in self.held else None for path in paths]

    def holders(self, file_ids: list[str]) -> list[int]:
        return [list(self.held.values()).count(file_id) for file_id in file_ids]


def turnover(held: Mapping[str, str], changed: bool = True, **more: object) -> Turnover:
    return Turnover(FewFiles(held), changed, **more)  # type: ignore[arg-type]


def gone(found: Mapping[str, Held]) -> dict[str, str]:
    return {path: held.file_id for path, held in found.items()}


def test_what_a_changed_path_held_goes() -> None:
    files = turnover({"a": "A", "b": "B", "c": "C"})
    assert gone(files.replace({"a": "A2", "b": "B", "new": "N"})) == {"a": "A"}


def test_nothing_goes_unless_that_is_asked() -> None:
    assert turnover({"a": "A"}, changed=False).replace({"a": "A2"}) == {}


def test_a_content_that_another_path_holds_stays() -> None:
    files = turnover({"a": "A", "copy": "A"})
    assert gone(files.replace({"a": "A2"})) == {}


def test_a_content_goes_with_the_last_path_that_held_it() -> None:
    files = turnover({"a": "A", "copy": "A"})
    assert gone(files.replace({"a": "A2"})) == {}
    assert gone(files.replace({"copy": "A3"})) == {"copy": "A"}
    together = turnover({"a": "A", "copy": "A"})
    assert gone(together.replace({"a": "A2", "copy": "A3"})) == {"a": "A", "copy": "A"}


def test_a_content_that_a_new_path_holds_from_now_on_stays() -> None:
    files = turnover({"a": "A"})
    files.claim(["A"])
    assert gone(files.replace({"a": "A2"})) == {}


def test_what_a_job_wrote_goes_when_it_is_read_again() -> None:
    files = turnover({}, changed=False, again={"a": Held("A", "job-1", "a")})
    assert gone(files.replace({"a": "A"})) == {"a": "A"}
