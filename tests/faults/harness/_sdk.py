"""The only module that touches botocore: it has no type information, so everything from it is ``Any`` here.

The boundary is ``URLLib3Session.send``, a public method that every client's every attempt goes through, whenever
and however the client was made. It lies under botocore's retry handler, serializer and signer, all of which are the
real ones, and above the network, none of which is left.
"""

from __future__ import annotations

import importlib
from io import BytesIO
from typing import Any

boto3: Any = importlib.import_module("boto3")
BaseClient: Any = importlib.import_module("botocore.client").BaseClient
awsrequest: Any = importlib.import_module("botocore.awsrequest")
exceptions: Any = importlib.import_module("botocore.exceptions")
httpsession: Any = importlib.import_module("botocore.httpsession")
RetryQuota: Any = importlib.import_module("botocore.retries.quota").RetryQuota
_moto: Any = importlib.import_module("moto.core.models")


def moto_is_on() -> bool:
    """Return whether moto answers the calls, which it does before they reach the wire."""
    return bool(_moto.botocore_stubber.enabled)


class _Raw(BytesIO):
    def stream(self, **_: Any) -> Any:
        """Yield the whole body, as botocore asks for it."""
        yield self.read()


def response(url: str, status: int, headers: dict[str, str], body: bytes) -> Any:
    """Return what botocore expects from the wire."""
    return awsrequest.AWSResponse(url, status, headers, _Raw(body))


def refill(quota: Any) -> None:
    """Give a client its whole allowance of retries back (botocore's standard mode keeps one for each client)."""
    quota.release(quota.INITIAL_CAPACITY)


def timeout(url: str) -> Exception:
    """Return the error of an answer that did not come."""
    error: Exception = exceptions.ReadTimeoutError(endpoint_url=url, error="made by the fault harness")
    return error


def closed(url: str, request: object) -> Exception:
    """Return the error of a connection that was closed under the request."""
    error: Exception = exceptions.ConnectionClosedError(
        endpoint_url=url, error="made by the fault harness", request=request
    )
    return error


def unreachable(url: str) -> Exception:
    """Return the error of a connection that was never made."""
    error: Exception = exceptions.ConnectTimeoutError(endpoint_url=url, error="made by the fault harness")
    return error
