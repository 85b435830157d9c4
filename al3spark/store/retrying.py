"""Try again what waiting can help: a store that is throttled, slow or out of reach for a moment.

In: a call that may raise a retryable StoreError. Out: its result, or the error of the last try. Waits grow
exponentially and differ from task to task (full jitter), so that tasks do not come back all at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from al3spark.errors import StoreError

T = TypeVar("T")

LONGEST_WAIT_S = 60.0


class Patience:
    """How often a call is tried, and how often that was needed so far; for several threads at once."""

    def __init__(self, plan: RetryPlan, sleep: Callable[[float], None] = time.sleep) -> None:
        self.retries = 0
        self._plan, self._sleep, self._lock = plan, sleep, Lock()

    def insist(self, call: Callable[[], T]) -> T:
        """Call until it works, what it raises cannot be helped, or all tries are used up."""
        for attempt in range(1, self._plan.max_attempts):
            try:
                return call()
            except StoreError as error:
                if not error.retryable:
                    raise
            with self._lock:
                self.retries += 1
            longest = min(self._plan.delay_s * 2 ** (attempt - 1), LONGEST_WAIT_S)
            self._sleep(random.uniform(0, longest))
        return call()


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """At most `max_attempts` tries; waits of up to `delay_s`, then twice that, and so on."""

    max_attempts: int = 5
    delay_s: float = 0.5
