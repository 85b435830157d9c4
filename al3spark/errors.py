"""Every exception that stops a run.

A fault in the data is a row in `errors`, never an exception; what is here ends a command with one line and an
exit code. Texts carry positions, paths and codes, never values of a record. All are picklable: they cross
from tasks to the driver.
"""


class Al3Error(Exception):
    """What all errors have in common; never raised itself."""


class RequestError(Al3Error):
    """The request cannot be carried out as asked: an option, a source or a destination is wrong."""


class DictionaryError(Al3Error):
    """A dictionary is not usable; the text lists all problems, one a line."""


class StoreError(Al3Error):
    """A disk or an object store refused something.

    `retryable` says whether waiting can help (a timeout, throttling), as against denied or not found; `code`
    is what an object store called it, "" elsewhere.
    """

    def __init__(self, message: str, retryable: bool = False, code: str = "") -> None:
        super().__init__(message, retryable, code)
        self.message = message
        self.retryable = retryable
        self.code = code

    def __str__(self) -> str:
        return self.message


class FileChangedError(StoreError):
    """A file is not the one that was listed: other size, other time, or gone. Listing it again can help."""


class BatchError(Al3Error):
    """A batch ended without publishing what it was asked to."""


class TasksFailedError(BatchError):
    """Tasks of a chunk failed again and again, for a reason that is not an error of ours: a worker died."""


class SumsError(BatchError):
    """What was written is not what was parsed: Spark parsed lost output again, and the files had changed."""


class CancelledError(Al3Error):
    """Somebody asked the job to end: a signal, a cancel document, or another job that took over."""
