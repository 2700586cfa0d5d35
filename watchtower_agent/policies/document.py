"""The YAML document's models: which keys there are, and what type each has.

What one key alone can tell is checked here; what keys mean together, and conditions, in `meaning`.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Mode, Severity
from watchtower_agent.policies.globs import GlobProblem, glob_problem, value_problem
from watchtower_agent.policies.problem import shown
from watchtower_agent.policies.quantities import LONGEST_STOP, QuantityError, parse_duration

LONGEST_NAME: Final = 64
LONGEST_PATTERN: Final = 255
LONGEST_TEXT: Final = 1000

OWN_WORDS: Final = "own_words"
"""The type of those validation errors that bring their own message and remedy."""

_SIGNALS: Final = frozenset(
    {"HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM"}
    | {"STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO"}
    | {"PWR", "SYS", "RTMIN", "RTMAX"}
)
_LAST_SIGNAL: Final = 64
_REALTIME: Final = re.compile(r"RTM(IN\+|AX-)([0-9]|[12][0-9]|30)", re.ASCII)
_NOT_OF_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)


def wrong(message: str, remedy: str, offset: int = 0) -> PydanticCustomError:
    """An error that brings its own message and remedy, and says how many characters into the value it is."""
    return PydanticCustomError(
        OWN_WORDS, "{message}, {remedy}", {"message": message, "remedy": remedy, "offset": offset}
    )


def _duration(value: object) -> float:
    try:
        if isinstance(value, str):
            return parse_duration(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return parse_duration(str(value))
    except QuantityError as error:
        raise wrong(error.message, error.remedy) from None
    raise wrong("this is not a duration", "write it like 500ms, 30s, 5m, 2h or 7d")


def _stop_timeout(value: float) -> float:
    if value > LONGEST_STOP:
        raise wrong("no stop takes longer than 1h", "write a duration between 0s and 1h")
    return value


def _glob(text: str) -> str:
    return _matching(text, glob_problem(text))


def _key(text: str) -> str:
    if not text.strip():
        raise wrong("a label needs a name", 'write it like {autoheal: "true"}')
    return text


def _value_glob(text: str) -> str:
    return _matching(text, value_problem(text))


def _matching(text: str, problem: GlobProblem | None) -> str:
    if problem is not None:
        raise wrong(problem.message, problem.remedy, problem.offset)
    return text


def _one_or_many(value: object) -> object:
    if isinstance(value, list):
        if not value:
            raise wrong("the list is empty", "name at least one, or leave the key out")
        return value
    return [value]


def _policy_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        plain = _NOT_OF_NAMES.sub("-", value).strip("-_")
        hint = f"write {plain}" if plain and plain != value else "write it like heal-unhealthy"
        raise wrong(
            f"{shown(value)} is no name for a policy",
            f"{hint}: letters, digits, - and _, beginning with one of the first",
        )
    return value


def _signal(value: object) -> str:
    text = str(value).upper()
    name = text.removeprefix("SIG")
    if name in _SIGNALS or _REALTIME.fullmatch(name):
        return f"SIG{name}"
    if not isinstance(value, bool) and text.isascii() and text.isdecimal() and 0 < int(text[:4]) <= _LAST_SIGNAL:
        return text
    raise wrong(f"{shown(str(value))} is not a signal", "name one like SIGTERM, SIGHUP or SIGUSR1")


Duration = Annotated[float, BeforeValidator(_duration)]
"""Seconds, written with a unit."""
StopTimeout = Annotated[Duration, AfterValidator(_stop_timeout)]
"""Seconds between a stop signal and KILL."""
Word = Annotated[str, Field(max_length=LONGEST_PATTERN)]
OneOrManyWords = Annotated[list[Word], BeforeValidator(_one_or_many)]
"""A text, or a list of them of which any will do."""
OneOrMany = Annotated[list[Annotated[Word, AfterValidator(_glob)]], BeforeValidator(_one_or_many)]
"""The same with wildcards, for names."""
OneOrManyValues = Annotated[list[Annotated[Word, AfterValidator(_value_glob)]], BeforeValidator(_one_or_many)]
"""The same for the value of a label."""


class _Keys(BaseModel):
    """Unknown keys are errors, and a text is never taken for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ComposeKeys(_Keys):
    """A Compose project or service."""

    project: OneOrMany | None = None
    service: OneOrMany | None = None


class SelectKeys(_Keys):
    """Which containers; all keys must match."""

    name: OneOrMany | None = None
    image: OneOrMany | None = None
    labels: dict[Annotated[Word, AfterValidator(_key)], OneOrManyValues] | None = None
    compose: ComposeKeys | None = None
    swarm_service: OneOrMany | None = None
    networks: OneOrMany | None = None
    status: Annotated[list[Annotated[ContainerStatus, Field(strict=False)]], BeforeValidator(_one_or_many)] | None = (
        None
    )
    exclude: SelectKeys | None = Field(default=None, alias="not")


class NoKeys(_Keys):
    """A verb without parameters."""


class StopKeys(_Keys):
    """Parameters of a verb that ends a container."""

    stop_timeout: StopTimeout | None = None


class KillKeys(_Keys):
    """Parameters of `kill`."""

    signal: Annotated[str, BeforeValidator(_signal)] | None = None


class NotifyKeys(_Keys):
    """Parameters of `notify`."""

    severity: Annotated[Severity, Field(strict=False)] = Severity.WARNING
    message: Annotated[str, Field(max_length=LONGEST_TEXT)] = ""


class ThenKeys(_Keys):
    """One verb, and what is told."""

    restart: StopKeys | None = None
    start: NoKeys | None = None
    stop: StopKeys | None = None
    kill: KillKeys | None = None
    pause: NoKeys | None = None
    unpause: NoKeys | None = None
    notify: NotifyKeys | None = None


class PolicyKeys(_Keys):
    """One policy."""

    name: Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_policy_name)]
    description: Annotated[str, Field(max_length=LONGEST_TEXT)] = ""
    mode: Annotated[Mode, Field(strict=False)] = Mode.ENFORCE
    select: SelectKeys | None = None
    when: str | None = None
    hold: Duration | None = Field(default=None, alias="for")
    on: dict[Word, OneOrManyWords] | None = None
    where: str | None = None
    then: ThenKeys | None = None
    cooldown: Duration | None = None
    restart_stopped: bool = False


class FileKeys(_Keys):
    """One file."""

    version: Literal[1]
    policies: list[PolicyKeys]
