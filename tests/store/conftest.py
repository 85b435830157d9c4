"""Processes for the tests of the store: forked, and killed or stopped before a chosen change of the place."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.httpsession import URLLib3Session

CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Child:
    """A forked process that runs `action`; before its change number `kill_at` of the disk it kills itself.

    And before its change number `stop_at` it stops, until it is told to `wake`.

    Changes of a disk are what Python tells audit hooks: files opened for writing, renames, links, removals,
    folders; changes of a bucket are requests that do not only read. What it runs must not use Arrow: threads
    do not survive a fork.
    """

    def __init__(self, action: Callable[[], object], kill_at: int | None, stop_at: int | None) -> None:
        self._answer, answer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._run(action, {stop_at: signal.SIGSTOP, kill_at: signal.SIGKILL}, answer)
        os.close(answer)

    def _run(self, action: Callable[[], object], signals: dict[int | None, int], answer: int) -> None:
        changes = 0

        def count() -> None:
            nonlocal changes
            changes += 1
            if changes - 1 in signals:
                signal.pthread_kill(threading.get_ident(), signals[changes - 1])  # this thread, at once

        def hear(event: str, args: tuple[Any, ...]) -> None:
            if event in CHANGES or (event == "open" and args[2] & WRITING):
                count()

        send = URLLib3Session.send

        def count_and_send(session: URLLib3Session, request: AWSPreparedRequest) -> Any:
            if request.method not in ("GET", "HEAD"):
                count()
            return send(session, request)

        try:
            sys.addaudithook(hear)
            URLLib3Session.send = count_and_send
            text = str(action())
        except BaseException as error:  # noqa: BLE001 -- the parent is told
            text = f"{type(error).__name__}: {error}"
        os.write(answer, text.encode())
        os._exit(0)

    def wait(self) -> str:
        """Wait for the end. What `action` returned or raised, as text, or `killed`."""
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        with open(self._answer, "rb") as answer:  # noqa: PTH123 -- a pipe has no path
            return "killed" if os.WIFSIGNALED(status) else answer.read().decode()

    def wait_until_stopped(self) -> bool:
        """False: it has ended instead."""
        _, status = os.waitpid(self._pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            self._pid = 0
        return os.WIFSTOPPED(status)

    def wake(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self.wait()

    @property
    def pid(self) -> int:
        return self._pid


@pytest.fixture
def fork() -> Iterator[Callable[..., Child]]:
    """fork(action, kill_at=None, stop_at=None): see Child. All children are gone after the test."""
    children: list[Child] = []

    def start(action: Callable[[], object], kill_at: int | None = None, stop_at: int | None = None) -> Child:
        children.append(Child(action, kill_at, stop_at))
        return children[-1]

    yield start
    for child in children:
        child.kill()
