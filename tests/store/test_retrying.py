from concurrent.futures import ThreadPoolExecutor

import pytest

from al3spark.errors import FileChangedError, StoreError
from al3spark.store.retrying import LONGEST_WAIT_S, Patience, RetryPlan


class Store:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, error: StoreError) -> None:
        self.calls, self._failures, self._error = 0, failures, error

    def get(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return "bytes"


BUSY = StoreError("/in/a: slow down", retryable=True)


def test_what_waiting_can_help_is_tried_again_and_counted() -> None:
    waits: list[float] = []
    patience, store = Patience(RetryPlan(5, 0.5), waits.append), Store(3, BUSY)
    assert patience.insist(store.get) == "bytes"
    assert (store.calls, patience.retries, len(waits)) == (4, 3, 3)


def test_waits_grow_and_are_bounded_and_differ() -> None:
    waits: list[float] = []
    patience = Patience(RetryPlan(100, 0.5), waits.append)
    assert patience.insist(Store(99, BUSY).get) == "bytes"
    longest = [min(0.5 * 2**attempt, LONGEST_WAIT_S) for attempt in range(99)]
    assert all(0 <= wait <= limit for wait, limit in zip(waits, longest, strict=True))
    assert max(waits) > 30
    assert len(set(waits)) == 99


def test_after_the_last_try_the_error_is_raised() -> None:
    patience, store = Patience(RetryPlan(3, 0), lambda _: None), Store(3, BUSY)
    with pytest.raises(StoreError, match="slow down"):
        patience.insist(store.get)
    assert (store.calls, patience.retries) == (3, 2)


@pytest.mark.parametrize(
    "error", [StoreError("/in/a: Permission denied"), FileChangedError("/in/a: changed since it was listed")]
)
def test_what_waiting_cannot_help_is_raised_at_once(error: StoreError) -> None:
    patience, store = Patience(RetryPlan(), pytest.fail), Store(1, error)
    with pytest.raises(type(error), match=r"^/in/a: "):
        patience.insist(store.get)
    assert (store.calls, patience.retries) == (1, 0)


def test_retries_of_several_threads_are_counted_together() -> None:
    patience = Patience(RetryPlan(5, 0), lambda _: None)
    with ThreadPoolExecutor(8) as pool:
        for answer in [pool.submit(patience.insist, Store(2, BUSY).get) for _ in range(200)]:
            assert answer.result() == "bytes"
    assert patience.retries == 400
