"""What the values of a policy file's keys may be: read, checked, and described for editors.

A value that is wrong brings its own message and remedy; `validation` finds its place in the file.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, WithJsonSchema
from pydantic_core import PydanticCustomError

from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.policies.globs import GlobProblem, glob_problem, value_problem
from watchtower_agent.policies.problem import shown
from watchtower_agent.policies.quantities import LONGEST_STOP, QuantityError, parse_duration
from watchtower_agent.policies.times.cron import Cron, CronError, parse_cron
from watchtower_agent.policies.times.zones import Zone, ZoneError, zone_of

LONGEST_NAME: Final = 64
LONGEST_PATTERN: Final = 255
LONGEST_TEXT: Final = 1000

OWN_WORDS: Final = "own_words"
"""The type of those validation errors that bring their own message and remedy."""

LONGEST_WINDOW: Final = 31 * 86400.0
"""Seconds for which a maintenance window is open."""

MOST_ACTIONS: Final = 1000
"""That a budget allows."""
LONGEST_BUDGET: Final = 86400.0
"""Seconds over which a budget counts: for as long the ledger remembers."""
LONGEST_PROBE: Final = 6 * 3600.0
"""Seconds for which a breaker waits at its first opening."""
LONGEST_APPROVAL: Final = 7 * 86400.0
"""Seconds for which a person is asked."""
STEEPEST: Final = 100.0
"""Factor of a backoff."""
MOST_NEEDS: Final = 100
"""Items under `depends`."""

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


def label_name(text: str) -> str:
    """The key of a label, as it is written."""
    if not text.strip():
        raise wrong("a label needs a name", 'write it like {autoheal: "true"}')
    if "*" in text:
        raise wrong("the names of labels are no patterns", "write the whole name; its value may be a pattern")
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


def needs(value: object) -> object:
    """What stands under `depends`: one item or several."""
    items = _one_or_many(value)
    if isinstance(items, list) and len(items) > MOST_NEEDS:
        raise wrong(f"{len(items)} are more than anything depends on", f"{MOST_NEEDS} is the most; use a pattern")
    return items


def need(value: object) -> object:
    """One item of `depends`: a text alone is a name, else it is keys as under `select`."""
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, dict):
        raise wrong("this names no container", "write a name, or keys as under select: {labels: {tier: db}}")
    return value


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


def _cron(value: object) -> Cron:
    if not isinstance(value, str):
        raise wrong("this is no cron expression", 'write one in quotes, as in "30 3 * * *" for 03:30')
    try:
        return parse_cron(value)
    except CronError as error:
        raise wrong(error.message, error.remedy, error.offset) from None


def _zone(value: object) -> Zone:
    if not isinstance(value, str):
        raise wrong("this is no time zone", "write an IANA name such as Europe/Berlin, or UTC")
    try:
        return zone_of(value)
    except ZoneError as error:
        raise wrong(error.message, error.remedy) from None


def _version(value: object) -> object:
    # True is 1 to Python.
    if isinstance(value, bool):
        raise wrong(f"{shown(str(value).lower())} is no version", "write 1")
    return value


def _open_for(value: float) -> float:
    if not 0 < value <= LONGEST_WINDOW:
        what = "no window is open for so long" if value else "a window that is open for no time lets nothing pass"
        raise wrong(what, "write a duration above 0s and up to 31d")
    return value


def _budget_most(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_ACTIONS:
        raise wrong("this is not a number of actions", f"write one from 1 to {MOST_ACTIONS}")
    return value


def _budget_in_vain(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_ACTIONS:
        raise wrong("this is not a number of containers", f"write one from 1 to {MOST_ACTIONS}")
    return value


def _budget_per(value: float) -> float:
    if not 1 <= value <= LONGEST_BUDGET:
        raise wrong("no budget is counted over so long or short", "write a duration from 1s to 1d")
    return value


def _budget_probe(value: float) -> float:
    if not 1 <= value <= LONGEST_PROBE:
        raise wrong("no breaker waits for so long or short", "write a duration from 1s to 6h")
    return value


def _approve_within(value: float) -> float:
    if not 1 <= value <= LONGEST_APPROVAL:
        raise wrong("nobody is asked for so long or short", "write a duration from 1s to 7d")
    return value


def _factor(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= STEEPEST:
        raise wrong("this is not a factor", f"write a number from 1 to {STEEPEST:.0f}")
    return float(value)


# What editors are told (JSON Schema). What a pattern can't tell, the loader does.
NUMBER: Final = r"[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?"
_FIELD_OF_CRON: Final = r"[0-9A-Za-z*,/-]+"


def _one_or_many_of(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]})


_PATTERN: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": LONGEST_PATTERN}
DURATION: Final = WithJsonSchema(
    {"type": "string", "pattern": rf"^\+?{NUMBER}(ms|s|m|h|d)$", "examples": ["500ms", "30s", "5m", "2h", "7d"]}
)

Version = Annotated[Literal[1], BeforeValidator(_version)]
"""Of the policy language."""
Duration = Annotated[float, BeforeValidator(_duration), DURATION]
"""Seconds, written with a unit."""
StopTimeout = Annotated[float, BeforeValidator(_duration), AfterValidator(_stop_timeout), DURATION]
"""Seconds between a stop signal and KILL."""
OpenFor = Annotated[float, BeforeValidator(_duration), AfterValidator(_open_for), DURATION]
"""Seconds for which a window is open."""
BudgetMost = Annotated[
    int, BeforeValidator(_budget_most), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST_ACTIONS})
]
"""Actions."""
BudgetInVain = Annotated[
    int, BeforeValidator(_budget_in_vain), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST_ACTIONS})
]
"""Containers."""
BudgetPer = Annotated[float, BeforeValidator(_duration), AfterValidator(_budget_per), DURATION]
"""Seconds over which actions are counted."""
BudgetProbe = Annotated[float, BeforeValidator(_duration), AfterValidator(_budget_probe), DURATION]
"""Seconds that an open breaker waits."""
ApproveWithin = Annotated[float, BeforeValidator(_duration), AfterValidator(_approve_within), DURATION]
"""Seconds for which a person is asked."""
Factor = Annotated[
    float, BeforeValidator(_factor), WithJsonSchema({"type": "number", "minimum": 1, "maximum": STEEPEST})
]
"""By which a wait grows."""
CronText = Annotated[
    InstanceOf[Cron],
    BeforeValidator(_cron),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^\s*{_FIELD_OF_CRON}(\s+{_FIELD_OF_CRON}){{4}}\s*$",
            "examples": ["30 3 * * *", "0 22 * * fri-mon", "*/10 * * * *"],
        }
    ),
]
"""Five fields: minute, hour, day, month, weekday."""
ZoneName = Annotated[
    InstanceOf[Zone],
    BeforeValidator(_zone),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$",
            "examples": ["UTC", "Europe/Berlin", "America/New_York"],
        }
    ),
]
"""Of IANA."""
Name = Annotated[
    str,
    Field(max_length=LONGEST_NAME),
    AfterValidator(_policy_name),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$", "maxLength": LONGEST_NAME}),
]
"""Of a policy."""
Word = Annotated[str, Field(max_length=LONGEST_PATTERN)]
OneOrManyWords = Annotated[list[Word], BeforeValidator(_one_or_many), _one_or_many_of(_PATTERN)]
"""A text, or a list of them of which any will do."""
OneOrMany = Annotated[
    list[Annotated[Word, AfterValidator(_glob)]], BeforeValidator(_one_or_many), _one_or_many_of(_PATTERN)
]
"""The same with wildcards, for names."""
LabelName = Annotated[Word, AfterValidator(label_name)]
OneOrManyValues = Annotated[
    list[Annotated[Word, AfterValidator(_value_glob)]],
    BeforeValidator(_one_or_many),
    _one_or_many_of({"type": ["string", "number", "boolean", "null"], "maxLength": LONGEST_PATTERN}),
]
"""The same for the value of a label, which is text however it is written."""
OneOrManyStatuses = Annotated[
    list[Annotated[ContainerStatus, Field(strict=False)]],
    BeforeValidator(_one_or_many),
    _one_or_many_of({"enum": [str(status) for status in ContainerStatus]}),
]
"""States of the engine, of which any will do."""
Signal = Annotated[
    str,
    BeforeValidator(_signal),
    WithJsonSchema({"type": ["string", "integer"], "minimum": 1, "maximum": _LAST_SIGNAL, "examples": ["SIGTERM"]}),
]
"""By name or number."""
