"""Calls to S3 or a store that speaks its API, by boto3 alone: made, tried again, and their failures named.

In: a bucket, a prefix, how they are reached, and what is called. Out: what the AWS SDK answers.
Promises: what a store refuses is a StoreError of one line, which tells whether waiting can help; what waiting
can help is tried again by `call`, and once only by `call_once`.
Credentials are those of the AWS SDK's default chain.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

from al3spark.errors import StoreError
from al3spark.store.retrying import Patience, RetryPlan

T = TypeVar("T")

CONNECTIONS = 32
CREDENTIALS = "NoCredentials"  # StoreError.code
NO_CREDENTIALS = (
    "no AWS credentials are found; runtime roles of EMR on EC2 and Lake Formation give none to Python: use "
    "an instance profile, the job role of EMR Serverless, or access keys in the environment"
)
# What stores answer, as StoreError.code.
MISSING = frozenset({"NoSuchKey", "NotFound", "404"})
TAKEN = frozenset({"PreconditionFailed", "412"})
UNSUPPORTED = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
_RETRYABLE = {
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "OperationAborted",
    "ConditionalRequestConflict",
}


@dataclass(frozen=True, slots=True)
class Access:
    """How a bucket is reached; None: as the AWS SDK finds it out. `sse`: for what is written."""

    region: str | None = None
    endpoint_url: str | None = None
    path_style: bool = False
    anonymous: bool = False
    request_payer: bool = False
    sse: str | None = None
    sse_kms_key_id: str | None = None
    retry: RetryPlan = field(default_factory=lambda: RetryPlan(8, 0.2))

    @property
    def encryption(self) -> dict[str, str]:
        """What a call says that writes."""
        told = {"ServerSideEncryption": self.sse, "SSEKMSKeyId": self.sse_kms_key_id}
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls that concern the keys of a bucket below a prefix ("" or ending in "/")."""

    bucket: str
    prefix: str
    access: Access = field(default_factory=Access)

    def uri(self, name: str) -> str:
        """The object as people write it."""
        return f"s3://{self.bucket}/{self.prefix}{name}"

    def call(self, method: str, name: str | None, **asked: Any) -> Any:
        """Call a method of the SDK's client, for one key or (None) for the bucket; insist on it."""
        return self.insist(lambda: self.call_once(method, name, **asked))

    def call_once(self, method: str, name: str | None, **asked: Any) -> Any:
        """The same, and no second try."""
        if name is not None:
            asked["Key"] = self.prefix + name
        if self.access.request_payer:
            asked["RequestPayer"] = "requester"
        with self._errors(name or ""):
            return getattr(_client(self.access), method)(Bucket=self.bucket, **asked)

    def get(self, name: str, **asked: Any) -> bytes:
        """The bytes of an object or a range of it, in one try."""
        answer = self.call_once("get_object", name, **asked)
        with self._errors(name), contextlib.closing(answer["Body"]) as body:
            data: bytes = body.read()
        if len(data) != answer["ContentLength"]:
            raise StoreError(f"{self.uri(name)}: the answer was cut short", retryable=True)
        return data

    def head(self, name: str) -> Mapping[str, Any] | None:
        """What a store tells of an object; None if there is none."""
        try:
            found: Mapping[str, Any] = self.call("head_object", name)
        except StoreError as error:
            if error.code in MISSING:
                return None
            raise
        return found

    def insist(self, call: Callable[[], T]) -> T:
        """Try again what waiting can help."""
        return Patience(self.access.retry).insist(call)

    @contextlib.contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Turn what the SDK raises into a StoreError of one line."""
        from botocore import exceptions as sdk
        from botocore.parsers import ResponseParserError
        from urllib3.exceptions import HTTPError  # what the SDK lets through when a refusal is cut short

        try:
            yield
        except sdk.ClientError as error:
            raise self._refused(name, error.response) from error
        except (sdk.NoCredentialsError, sdk.PartialCredentialsError) as error:
            raise StoreError(f"{self.uri(name)}: {NO_CREDENTIALS}", code=CREDENTIALS) from error
        except (
            sdk.CredentialRetrievalError,
            sdk.HTTPClientError,
            sdk.ConnectionError,
            sdk.IncompleteReadError,
            sdk.MetadataRetrievalError,
            HTTPError,
            ResponseParserError,
        ) as error:
            raise StoreError(f"{self.uri(name)}: {_line(error)}", retryable=True) from error
        except sdk.BotoCoreError as error:
            raise StoreError(f"{self.uri(name)}: {_line(error)}") from error
        except OSError as error:  # of a connection
            raise StoreError(f"{self.uri(name)}: {_line(error)}", retryable=True) from error

    def _refused(self, name: str, answer: Mapping[str, Any]) -> StoreError:
        told, status = answer.get("Error", {}), answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(told.get("Code", "") or status)
        retryable = code in _RETRYABLE or status == 429 or (status >= 500 and status != 501)
        what = {"403": "Forbidden", "404": "Not Found"}.get(code, code)
        message = " ".join(str(told.get("Message", "")).split())
        text = f"{what}: {message}" if message and message != what else what
        return StoreError(f"{self.uri(name)}: {text}", retryable, code)


_METADATA = {"metadata_service_timeout": 2, "metadata_service_num_attempts": 4}
_clients: dict[tuple[int, Access], Any] = {}
_making = Lock()


def _client(access: Access) -> Any:
    """The client of this process; it serves several threads, but not a process that was forked."""
    key = os.getpid(), access
    if key not in _clients:
        with _making:
            if key not in _clients:
                _clients[key] = _make_client(access)
    return _clients[key]


def _make_client(access: Access) -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import NoCredentialsError
    from botocore.session import Session

    config = Config(
        retries={"total_max_attempts": 1},  # they are made, and counted, by Patience
        max_pool_connections=CONNECTIONS,
        connect_timeout=10,
        read_timeout=30,  # of one wait, not of a whole answer; two of them are no dead heartbeat yet
        tcp_keepalive=True,
        # What a store that is not AWS may not know is left out unless it is required.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if access.path_style else "auto"},
        **({"signature_version": UNSIGNED} if access.anonymous else {}),
    )
    # All workers of a node ask for credentials at once: one missed answer is not the end.
    session = Session()
    for name, value in _METADATA.items():
        if f"AWS_{name.upper()}" not in os.environ:
            session.set_config_variable(name, value)
    if not (access.anonymous or session.get_credentials()):
        raise NoCredentialsError  # and a client that would never have any is not kept
    return boto3.session.Session(botocore_session=session).client(
        "s3", region_name=access.region, endpoint_url=access.endpoint_url, config=config
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
