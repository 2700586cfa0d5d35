"""The agent's own errors. Library errors are translated into these once, at the adapter that calls the library."""

from __future__ import annotations

from collections.abc import Mapping


class WatchtowerError(Exception):
    """Any error the agent raises on purpose. Its text is written for the operator who reads it."""


class TemporaryError(WatchtowerError):
    """Something that may work later: the engine or broker is down, slow or busy, the disk is full.

    Attributes:
        retry_after: Seconds to wait before a further try makes sense, or None to use the caller's backoff.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnansweredError(TemporaryError):
    """The other side was asked, or may have been, and gave no answer: whether it did what it was asked is not known."""


class ConflictError(TemporaryError):
    """Somebody changed the object since it was looked at: nothing was done. A new look has to decide again."""


class PermanentError(WatchtowerError):
    """Something that will not work however often it is tried: refused, malformed, not supported."""


class ForbiddenError(PermanentError):
    """A request is not let through: by a proxy before the engine, or by a plugin of the engine.

    Attributes:
        endpoint: As docs/engine-access.md lists it, `GET /containers/{id}/changes`.
    """

    def __init__(self, message: str, *, endpoint: str) -> None:
        super().__init__(message)
        self.endpoint = endpoint


class AbsentError(PermanentError):
    """The object is not there (any more). Callers treat it as an answer, not as a fault."""


class RemovedError(AbsentError):
    """The object was there when the call began, and somebody removed it while the call was carried out."""


class HandsOffError(PermanentError):
    """Looked at just before, what was to be done is not the agent's to do now. Nothing was asked for."""


class KeptError(PermanentError):
    """Something was to be deleted and is needed again, or is not what was to be deleted: it was left as it is.

    Attributes:
        reason: What it is needed by, or what has changed, in few words.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}; it was left as it is")
        self.reason = reason


class IncompleteError(PermanentError):
    """A part of what was asked for was done, and no more will be.

    Attributes:
        numbers: What was done, JSON-able, for the outcome.
    """

    def __init__(self, message: str, *, numbers: Mapping[str, float | int | str | bool | None]) -> None:
        super().__init__(message)
        self.numbers = numbers


class FatalError(WatchtowerError):
    """The agent can't go on: it stops with this text as its last word."""


class SettingsError(FatalError):
    """The agent's own configuration is wrong; the text has every problem with its place."""
