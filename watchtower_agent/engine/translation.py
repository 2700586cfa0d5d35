"""The errors of requests to the engine -> the agent's own. Translated here and nowhere else."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPException, RemoteDisconnected

from watchtower_agent.engine.endpoints import endpoint_of
from watchtower_agent.engine.transport import Answer, WayError
from watchtower_agent.errors import (
    AbsentError,
    ConflictError,
    ForbiddenError,
    PermanentError,
    RemovedError,
    TemporaryError,
    UnansweredError,
    WatchtowerError,
)

_LONGEST = 1000
"""Characters of the engine's words."""
_EXECUTED = re.compile(r'exec: "((?:[^"\\]|\\.)*)|executable file `([^`]*)')
"""How runc and crun name what a container was to run. Where its end was cut off there is no quote."""
_PROGRAM = re.compile(r"[\w./+-]+", re.ASCII)

NOT_FOUND, TOO_MANY, SERVER_ERROR = 404, 429, 500

_BEING_REMOVED = ("marked for removal", "removal of container")
"""In the engine's answer (of status 409, or 500 from a restart) for a container that somebody is removing."""

_OUTDATED = "update out of sequence"
"""In a Swarm's answer (of status 500) to who changes another version of an object than the present one."""


class EngineTimeoutError(UnansweredError):
    """The engine did not answer in time."""


class EngineLostError(UnansweredError):
    """The connection ended before the answer: the engine was killed or went away, or the agent connected anew."""


class EngineRefusedError(TemporaryError):
    """Nobody listens at the engine's address: the daemon is not running."""


class RefusalError(Exception):
    """The engine answered with an error.

    Attributes:
        status: Of HTTP.
        explanation: In the engine's own words.
    """

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"{status}: {explanation}")
        self.status = status
        self.explanation = explanation


def accepted(answer: Answer) -> Answer:
    """The answer, unless it is an error: then that is raised, with the engine's own words."""
    if answer.status < HTTPStatus.BAD_REQUEST:
        return answer
    try:
        explanation = str(answer.json()["message"])  # type: ignore[index] # what is no object raises as it should
    except (ValueError, KeyError, TypeError, RecursionError):
        explanation = answer.content.decode("utf-8", "replace").strip()
    raise RefusalError(answer.status, _without_commands(explanation[:_LONGEST]))


def _without_commands(explanation: str) -> str:
    """The engine's words less what a container was to run, where that is more than a program's name.

    A runtime that can't begin it repeats its first word. Who wrote a whole command line into that, or a variable, may
    have put a password there, and command lines never leave the agent.
    """
    for quoted, ticked in _EXECUTED.findall(explanation):
        word = quoted or ticked
        if word and not _PROGRAM.fullmatch(word):
            explanation = explanation.replace(word, "…")
    return explanation


@contextlib.contextmanager
def translated(what: str, method: str = "", path: str = "") -> Iterator[None]:
    """Turn whatever a request raises into the agent's own errors, once.

    Args:
        what: What was being done, as the beginning of a sentence for people.
        method: Of the request, where it is named if it is not let through.
        path: Of the request, without the API's version and the query.
    """
    try:
        yield
    except RefusalError as error:
        raise _answer(what, error, method, path) from error
    except WayError as error:
        raise EngineLostError(f"{what}: {error}") from error  # it may have failed after the engine was asked
    except (OSError, HTTPException, ValueError, LookupError) as error:
        raise _failure(what, error) from error


def _answer(what: str, error: RefusalError, method: str, path: str) -> WatchtowerError:
    status, explanation = error.status, error.explanation
    if status == HTTPStatus.FORBIDDEN and (endpoint := endpoint_of(method, path)) is not None:
        asked = f"{endpoint.method} {endpoint.path}"
        words = f"{asked} is not let through (403): {explanation or 'no reason given'}; the agent needs it for that"
        return ForbiddenError(f"{what}: {words} (docs/engine-access.md)", endpoint=asked)
    text = f"{what}: the engine refused ({status}): {explanation or 'no reason given'}"
    if status == NOT_FOUND:
        return AbsentError(text)
    if any(words in explanation for words in _BEING_REMOVED):
        return RemovedError(text)
    if _OUTDATED in explanation:
        return ConflictError(text)
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
    if any(isinstance(link, TimeoutError) for link in chain):
        return EngineTimeoutError(f"{what}: the engine did not answer in time")
    if any(isinstance(link, (ConnectionRefusedError, FileNotFoundError)) for link in chain):
        return EngineRefusedError(f"{what}: nobody listens there; is the engine running?")
    if any(isinstance(link, (ConnectionResetError, BrokenPipeError, RemoteDisconnected)) for link in chain):
        return EngineLostError(f"{what}: the engine hung up before it answered")
    if any(isinstance(link, PermissionError) for link in chain):
        return TemporaryError(
            f"{what}: permission denied; the agent must run as root or as a member of the socket's group"
        )
    if any(isinstance(link, json.JSONDecodeError) for link in chain):
        return TemporaryError(f"{what}: the engine's answer is not JSON")
    return EngineLostError(f"{what}: {str(chain[-1]) or type(chain[-1]).__name__}")
