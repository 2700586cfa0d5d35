"""The types of settings that are more than a text: durations, sizes, addresses, names."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from watchtower_agent.model.shown_address import has_query, without_secrets, without_user
from watchtower_agent.policies.catalogue import ValueType
from watchtower_agent.policies.globs import glob_problem
from watchtower_agent.policies.problem import WrongValueError, one_of, shown
from watchtower_agent.policies.quantities import QuantityError, parse_duration, parse_quantity, together

ENGINE_SCHEMES: Final = ("unix", "tcp", "http", "https", "ssh")
MQTT_SCHEMES: Final = ("mqtt", "mqtts", "ws", "wss")
MQTT_COMMANDS: Final = ("pause", "resume", "approve", "reject", "trigger", "reload")

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}\Z")
_BASE_TOPIC = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*\Z")
_IMAGE = re.compile(r"[a-z0-9]+(([._-]+|/)[a-z0-9]+)*\Z")
_UNIT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.@-]*\.service", re.ASCII)
_LONGEST_UNIT: Final = 255
"""Characters, as systemd has it."""
_MODE = re.compile(r"0?[0-7]{3}\Z")
_LONGEST_BASE: Final = 100
LONGEST_CLIENT_ID: Final = 100
_LISTEN = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9][A-Za-z0-9.-]{0,252})):(?P<port>[0-9]{1,5})\Z"
)
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}\Z")
_LAST_PORT: Final = 65535
MOST_METRIC_LABELS: Final = 20
_LONGEST_SOCKET: Final = 107


def _duration(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:g}"
    if not isinstance(value, str):
        raise WrongValueError("this is not a duration", "write it like 500ms, 30s, 5m or 2h")
    return parse_duration(value)


def between(low: str, high: str) -> Callable[[float], float]:
    """A check that a duration is neither shorter nor longer than makes sense."""

    def check(value: float) -> float:
        if not parse_duration(low) <= value <= parse_duration(high):
            raise WrongValueError("this duration is out of range", f"write one between {low} and {high}")
        return value

    return check


def none_or_between(low: str, high: str) -> Callable[[float], float]:
    """A check like `between` that takes 0s, too, for what is not wanted at all."""

    def check(value: float) -> float:
        if value and not parse_duration(low) <= value <= parse_duration(high):
            remedy = f"write one between {low} and {high}, or 0s for none"
            raise WrongValueError("this duration is out of range", remedy)
        return value

    return check


def _size(value: object) -> object:
    if not isinstance(value, str):
        raise WrongValueError(f"{shown(str(value))} has no unit", "write it like 256MiB or 1GiB")
    try:
        quantity = parse_quantity(value)
    except QuantityError as error:
        whole = together(value)
        raise WrongValueError(error.message, f"write {whole}" if whole else "write it like 256MiB or 1GiB") from None
    if quantity.type is not ValueType.BYTES:
        raise WrongValueError(f"{shown(value)} is not a size", "write it like 256MiB or 1GiB")
    return int(quantity.value)


def _at_least_one_mebibyte(value: int) -> int:
    if not 2**20 <= value <= 2**50:
        raise WrongValueError("this size is out of range", "write one between 1MiB and 1024TiB")
    return value


def _count_of(what: str, most: int) -> Callable[[object], object]:
    def count(value: object) -> object:
        text = str(value)
        if isinstance(value, bool) or not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= most:
            raise WrongValueError(f"{shown(text)} is not a number of {what}", f"write one from 1 to {most}")
        return int(text)

    return count


def _share(value: object) -> object:
    text = str(value)
    try:
        quantity = parse_quantity(text)
    except QuantityError:
        raise WrongValueError(f"{shown(text)} is not a share", "write it like 30%") from None
    if quantity.type is not ValueType.PERCENT or not 0 <= quantity.value <= _WHOLE:
        raise WrongValueError(f"{shown(text)} is not a share", "write one between 0% and 100%")
    return float(quantity.value)


def _path(value: object) -> object:
    if value is None or isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise WrongValueError("this is not a path", "write the path of a file or folder")
    return Path(value)


def _socket(value: Path) -> Path:
    length = len(str(value).encode())
    if length > _LONGEST_SOCKET:
        raise WrongValueError(
            f"the path has {length} bytes",
            f"choose one of at most {_LONGEST_SOCKET}: Linux takes no longer socket path",
        )
    return value


def checked_host(value: str) -> str:
    """The host's name when it can be a level of a topic; empty means this machine's.

    Raises:
        WrongValueError: It can't.
    """
    if value and not _HOST.match(value):
        raise WrongValueError(f"{shown(value)} can't be a level of a topic", "use letters, digits, dots, - and _")
    return value


def _base_topic(value: str) -> str:
    if not _BASE_TOPIC.match(value) or len(value) > _LONGEST_BASE:
        raise WrongValueError(f"{shown(value)} can't begin a topic", "use letters, digits, - and _, like watchtower")
    return value


def _client_id(value: str) -> str:
    if len(value) > LONGEST_CLIENT_ID or not value.isprintable():
        raise WrongValueError(f"{shown(value)} can't be a client id", "use at most 100 printable characters")
    return value


def _engine_url(value: str) -> str:
    named = without_secrets(value)
    scheme, found, rest = value.partition("://")
    if value and (not found or scheme not in ENGINE_SCHEMES or not rest or not value.isprintable()):
        raise WrongValueError(
            f"{shown(named)} is no address of an engine", "write it like unix:///var/run/docker.sock or tcp://host:2376"
        )
    if scheme == "ssh":
        if ":" in rest.rpartition("@")[0]:
            raise WrongValueError("the address holds a password", "leave it out: the agent logs in with a key")
    elif without_user(value) != value:
        raise WrongValueError("the address holds a user name", "name the engine, or a proxy before it, without one")
    elif has_query(value):
        raise WrongValueError("the address has a query", "name the engine, or a proxy before it, without one")
    return value


def _mqtt_url(value: str | None) -> str | None:
    if value is None:
        return None
    remedy = "write it like mqtt://broker:1883 or mqtts://broker:8883, or null for no broker"
    named = shown(without_secrets(value))
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        # What the library says repeats part of the address, and that may be part of a password.
        why = "" if "@" in value else f" ({error})"
        raise WrongValueError(f"{named} is no address of a broker{why}", remedy) from None
    if parts.scheme not in MQTT_SCHEMES:
        raise WrongValueError(f"{named} has no scheme the agent speaks", one_of(MQTT_SCHEMES))
    if parts.username is not None or parts.password is not None:
        raise WrongValueError("the address holds a user name", "use mqtt.username and mqtt.password_file instead")
    if not parts.hostname or port == 0 or not value.isprintable():
        raise WrongValueError(f"{named} is no address of a broker", remedy)
    if has_query(value):
        raise WrongValueError("the address has a query, which is not sent", "use mqtt.username and mqtt.password_file")
    if parts.scheme in {"mqtt", "mqtts"} and parts.path.strip("/"):
        raise WrongValueError(f"{named} has a path", "only ws and wss addresses have one")
    return value


def _protocol(value: object) -> object:
    return str(value) if isinstance(value, int | float) else value


def _listen(value: str | None) -> str | None:
    if value is None:
        return None
    match = _LISTEN.match(value)
    remedy = "write it like 127.0.0.1:9327, [::1]:9327 or 0.0.0.0:9327, or null for none"
    if match is None:
        raise WrongValueError(f"{shown(value)} is no address to listen on", remedy)
    if not 1 <= int(match["port"]) <= _LAST_PORT:
        raise WrongValueError(f"{shown(value)} has no port from 1 to {_LAST_PORT:,}", remedy)
    if match["six"] is not None and not _is_ipv6(match["six"]):
        raise WrongValueError(f"{shown(value)} has no address in its brackets", remedy)
    return value


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def listen_at(value: str) -> tuple[str, int]:
    """Host and port of an address to listen on that was checked."""
    host, _, port = value.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def metric_label(name: str) -> str:
    """Under which name a container's label stands beside its metrics: cAdvisor's."""
    return "container_label_" + re.sub(r"[^A-Za-z0-9_]", "_", name)


def _metric_labels(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > MOST_METRIC_LABELS:
        raise WrongValueError("the list is too long", f"use at most {MOST_METRIC_LABELS} labels")
    named: dict[str, str] = {}
    for label in value:
        if not _LABEL.match(label):
            raise WrongValueError(
                f"{shown(label)} is not the name of a label",
                "write it in full, without wildcards, like com.example.team",
            )
        if named.setdefault(metric_label(label), label) != label:
            other = named[metric_label(label)]
            raise WrongValueError(
                f"{shown(label)} and {shown(other)} would both be {metric_label(label)}", "choose one of them"
            )
    return value


def _mode(value: object) -> object:
    if not isinstance(value, str) or not _MODE.match(value):
        raise WrongValueError(f"{shown(str(value))} is no file mode", 'write it in quotes and octal, like "0660"')
    return value


def _list(value: object) -> object:
    """A list, or from the environment and the command line a text with commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _label_glob(value: str) -> str:
    if (problem := glob_problem(value, of="label")) is not None:
        raise WrongValueError(problem.message, problem.remedy)
    return value


def _unit_name(value: str) -> str:
    if len(value) > _LONGEST_UNIT or not _UNIT.fullmatch(value):
        raise WrongValueError(f"{shown(value)} is not the name of a service of systemd", "write it like docker.service")
    return value


def _image_name(value: str) -> str:
    if not _IMAGE.match(value):
        raise WrongValueError(
            f"{shown(value)} is not the bare name of an image",
            "write its last part without registry, tag and wildcards, like postgres or mssql/server",
        )
    return value


def _command_name(value: str) -> str:
    if value not in MQTT_COMMANDS:
        raise WrongValueError(f"{shown(value)} is no command that MQTT can bring", one_of(MQTT_COMMANDS))
    return value


def _short_list(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > 1000 or any(len(item) > 256 for item in value):  # noqa: PLR2004 - the numbers are in the sentence
        raise WrongValueError("the list is too long", "use at most 1,000 entries of at most 256 characters")
    return value


_MOST_FAILURES: Final = 100_000
_WHOLE: Final = 100.0
"""Percent."""
MOST_ACTIONS: Final = 1000
"""That a budget allows."""
Duration = Annotated[float, BeforeValidator(_duration)]
"""Seconds."""
Size = Annotated[int, BeforeValidator(_size), AfterValidator(_at_least_one_mebibyte)]
"""Bytes."""
ActionCount = Annotated[int, BeforeValidator(_count_of("actions", MOST_ACTIONS))]
"""How many actions a budget allows."""
ContainerCount = Annotated[int, BeforeValidator(_count_of("containers", _MOST_FAILURES))]
Share = Annotated[float, BeforeValidator(_share)]
"""Percent."""
FilePath = Annotated[Path, BeforeValidator(_path)]
SocketPath = Annotated[Path, BeforeValidator(_path), AfterValidator(_socket)]
HostName = Annotated[str, AfterValidator(checked_host)]
BaseTopic = Annotated[str, AfterValidator(_base_topic)]
ClientId = Annotated[str, AfterValidator(_client_id)]
EngineUrl = Annotated[str, AfterValidator(_engine_url)]
MqttUrl = Annotated[str | None, AfterValidator(_mqtt_url)]
Protocol = BeforeValidator(_protocol)
FileMode = Annotated[str, BeforeValidator(_mode)]
UnitName = Annotated[str, AfterValidator(_unit_name)]
LabelGlobs = Annotated[
    tuple[Annotated[str, AfterValidator(_label_glob)], ...],
    NoDecode,
    BeforeValidator(_list),
    AfterValidator(_short_list),
]
CommandNames = Annotated[
    tuple[Annotated[str, AfterValidator(_command_name)], ...],
    NoDecode,
    BeforeValidator(_list),
    AfterValidator(_short_list),
]
ListenAddress = Annotated[str | None, AfterValidator(_listen)]
MetricLabels = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_list), AfterValidator(_metric_labels)]
ImageNames = Annotated[
    tuple[Annotated[str, AfterValidator(_image_name)], ...],
    NoDecode,
    BeforeValidator(_list),
    AfterValidator(_short_list),
]
