"""How is an object store reached, and what is said when it cannot be?

Every request goes through `told`, so that whatever a client library raises ends as one sentence with a next step.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jamais.errors import InputError, JamaisError, MissingExtraError, StateError

PATIENCE = {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 2, "mode": "standard"}}
"""For S3: a server that is down is reported within seconds, one that hangs within a minute or two."""
_TRIES = 2
_AMAZON = ("s3", "s3a")
_RIGHTS = {
    "ClientAuthenticationError",
    "CredentialRetrievalError",
    "DefaultCredentialsError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "PermissionError",
    "RefreshError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
}
_REACH = {
    "ClientConnectorError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionRefusedError",
    "EndpointConnectionError",
    "FSTimeoutError",
    "ReadTimeoutError",
    "ServerTimeoutError",
    "ServiceRequestError",
    "ServiceResponseError",
    "TimeoutError",
}


class UnreachableError(StateError):
    """The object store does not answer: another request would only take as long."""


def connect(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """Give the file system of fsspec for an address, and the path of the store in it; nothing is sent yet.

    Raises MissingExtraError when the package for this kind of address is missing, InputError when there is none.
    """
    kind = url.partition("://")[0]
    try:
        core = importlib.import_module("fsspec.core")
        file_system, root = core.url_to_fs(url, **_asked(kind, options))
    except ImportError as error:
        if kind in _AMAZON:
            raise MissingExtraError(f"a store at {shown(url)}", "remote") from error
        raise InputError(f"a store at {shown(url)} needs another package ({error}): install it") from error
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{shown(url)} is no address that fsspec knows ({error}): for example s3://bucket/app"
        ) from error
    if kind in _AMAZON:
        file_system.retries = _TRIES  # each of which waits and repeats by itself, see PATIENCE
    root = str(root).rstrip("/")
    if not root:
        raise InputError(f"{shown(url)} names no bucket: for example s3://bucket/app")
    return file_system, root


def shown(url: str) -> str:
    """Give an address without the password that may be in it."""
    return re.sub(r"://[^/@]*@", "://…@", url)


@contextlib.contextmanager
def told(where: str) -> Iterator[None]:
    """Turn what a client library raises into StateError; what is missing or already there passes as it is."""
    try:
        yield
    except (JamaisError, FileNotFoundError, FileExistsError):
        raise
    except Exception as error:  # botocore, aiohttp, google and azure have roots of their own
        raise _translated(error, where) from error


def is_in_the_way(error: BaseException) -> bool:
    """Say whether an answer means "there is one already", or "somebody is making it": servers word it differently."""
    for one in _chain(error):
        answer = getattr(one, "response", None)
        code = answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None
        if isinstance(one, FileExistsError) or code in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
            return True
    return False


def is_no_bucket(error: BaseException) -> bool:
    """Say whether a refusal to write means that what should hold the file is not there."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"FileNotFoundError", "ResourceNotFoundError"})  # the second is Azure's


def _asked(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Join what the caller wants with what every store needs: no listing from memory, and an end to waiting."""
    if kind not in _AMAZON:
        return dict(options)
    configured = importlib.import_module("fsspec.config").conf.get("s3", {})
    wanted = {**configured, **options}.get("config_kwargs", {})
    # Not the client of an earlier store: it would go on with the credentials and the address of then.
    own = {"skip_instance_cache": True, "use_listings_cache": False}
    return {**options, **own, "config_kwargs": {**PATIENCE, **wanted}}


def _translated(error: Exception, where: str) -> StateError:
    names = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
    said = f"{type(error).__name__}: {error}".strip().partition("\n")[0].rstrip(":.")[:300]
    if names & _RIGHTS:
        return StateError(
            f"{where}: the object store does not accept these credentials ({said}): give ones that may list, read, "
            "write and delete there, for S3 in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in ~/.aws"
        )
    if names & _REACH:
        return UnreachableError(
            f"{where}: the object store cannot be reached ({said}): check the network and the address, for S3 in "
            "AWS_ENDPOINT_URL, and try again"
        )
    if isinstance(error, OSError) and error.errno and error.filename:
        return StateError(f"{where}: {os.strerror(error.errno)}: {error.filename}")
    return StateError(f"{where}: the object store refused ({said}): nothing is known to have changed; try again")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
