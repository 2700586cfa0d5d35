"""The errors of the docker SDK and of what is below it -> the agent's own. Translated here and nowhere else."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from http.client import HTTPException

import requests
import urllib3
from docker.errors import APIError, DockerException

from watchtower_agent.errors import AbsentError, PermanentError, RemovedError, TemporaryError, WatchtowerError

NOT_FOUND, TOO_MANY, SERVER_ERROR = 404, 429, 500

_BEING_REMOVED = "marked for removal"
"""In the engine's answer (of status 409, or 500 from a restart) for a container that somebody is removing."""


class EngineTimeoutError(TemporaryError):
    """The engine did not answer in time: whether it did what was asked is not known."""


class EngineRefusedError(TemporaryError):
    """Nobody listens at the engine's address: the daemon is not running."""


def raise_for_status(response: requests.Response) -> None:
    """Raise the SDK's error, with the engine's own words, when the answer is one."""
    if response.status_code >= requests.codes.bad_request:
        try:
            explanation = str(response.json()["message"])
        except (ValueError, KeyError, TypeError):
            explanation = response.text.strip()
        raise APIError(f"{response.status_code}", response=response, explanation=explanation[:1000])


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn whatever the SDK and what is below it raise into the agent's own errors, once.

    Args:
        what: What was being done, as the beginning of a sentence for people.
    """
    try:
        yield
    except APIError as error:
        raise _answer(what, error) from error
    except requests.Timeout as error:
        raise EngineTimeoutError(f"{what}: the engine did not answer in time") from error
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        DockerException,
        OSError,
        HTTPException,
        ValueError,
        LookupError,
    ) as error:
        raise _failure(what, error) from error


def _answer(what: str, error: APIError) -> WatchtowerError:
    status = error.status_code or SERVER_ERROR
    text = f"{what}: the engine refused ({status}): {error.explanation or 'no reason given'}"
    if status == NOT_FOUND:
        return AbsentError(text)
    if _BEING_REMOVED in (error.explanation or ""):
        return RemovedError(text)
    if status >= SERVER_ERROR or status == TOO_MANY:
        return TemporaryError(text)
    return PermanentError(text)


def _failure(what: str, error: BaseException) -> TemporaryError:
    """The SDK wraps errors several times, partly as text only: the innermost says most."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        nested = next((arg for arg in cause.args if isinstance(arg, BaseException)), None)
        cause = cause.__cause__ or nested or cause.__context__
    if any(isinstance(link, (requests.Timeout, TimeoutError)) for link in chain):
        return EngineTimeoutError(f"{what}: the engine did not answer in time")
    if any(isinstance(link, (ConnectionRefusedError, FileNotFoundError)) for link in chain):
        return EngineRefusedError(f"{what}: nobody listens there; is the engine running?")
    if any(isinstance(link, PermissionError) for link in chain):
        return TemporaryError(
            f"{what}: permission denied; the agent must run as root or as a member of the socket's group"
        )
    if any(isinstance(link, json.JSONDecodeError) for link in chain):
        return TemporaryError(f"{what}: the engine's answer is not JSON")
    return TemporaryError(f"{what}: {str(chain[-1]) or type(chain[-1]).__name__}")
