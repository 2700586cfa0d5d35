"""From file, secrets, environment and command line to one checked configuration, or every problem at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from watchtower_agent.errors import SettingsError
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.problem import Path as KeyPath, joined, meant, one_of, shown
from watchtower_agent.settings.layers import (
    Layer,
    Tree,
    command_line,
    environment,
    read_secret,
    secrets,
    settings_file,
    unknown_key,
)
from watchtower_agent.settings.model import Settings, TlsSettings, settings_digest
from watchtower_agent.settings.problem import Place, SecretError, SettingProblem
from watchtower_agent.settings.values import LONGEST_CLIENT_ID, checked_host

DEFAULT_FILES: Final = (Path("/etc/watchtower-agent/agent.yaml"), Path("config/agent.yaml"))
"""Where the configuration is looked for when no file is named."""

_PATHS: Final = frozenset(
    {
        ("policies",),
        ("state_dir",),
        ("engine", "tls", "ca"),
        ("engine", "tls", "cert"),
        ("engine", "tls", "key"),
        ("engine", "ssh_config"),
        ("sampling", "cgroup_root"),
        ("sampling", "proc_root"),
        ("mqtt", "password_file"),
        ("mqtt", "tls", "ca"),
        ("mqtt", "tls", "cert"),
        ("mqtt", "tls", "key"),
        ("control", "socket"),
    }
)

_SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "bool_type": ("this is not a boolean", "write true or false"),
    "bool_parsing": ("this is not a boolean", "write true or false"),
    "string_type": ("this is not a text", "write a text, in quotes if it looks like a number"),
    "tuple_type": ("this is not a list", "write a list like [a, b]"),
    "model_type": ("this is a section", "write its keys below it"),
    "model_attributes_type": ("this is a section", "write its keys below it"),
}
"""What pydantic finds, by its name for it, in words for the person who wrote the file."""


class WrongSettingsError(SettingsError):
    """Something in the configuration is wrong.

    Attributes:
        problems: All of it.
        policies: The policy folder, as far as it can be known for certain: its policies can be checked all the same.
        policies_place: Where that is said; None where nobody says it.
    """

    def __init__(
        self, problems: Sequence[SettingProblem], *, policies: Path | None, policies_place: Place | None = None
    ) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.policies = policies
        self.policies_place = policies_place


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """The configuration in force.

    Attributes:
        settings: Checked and complete: host name and client id filled in, paths absolute, the password read.
        source: For people: the file, or that there was none.
        file: The file it came from; None when there was none.
        host_given: Somebody named the host; else its name is this machine's.
        policies_place: Where it is said which policy folder; None where nobody says it.
    """

    settings: Settings
    source: str
    file: Path | None
    host_given: bool = True
    policies_place: Place | None = None

    @property
    def digest(self) -> str:
        """A hash over the configuration, secrets left out."""
        return settings_digest(self.settings)


def load_settings(config: Path | None = None, overrides: Mapping[str, object] | None = None) -> LoadedSettings:
    """Read the configuration.

    Precedence: overrides (the command line), environment, secrets folders, file, default.

    Args:
        config: The file; None looks at the default places and goes on without one.
        overrides: Dotted key (`mqtt.url`) or nested mapping -> value.

    Raises:
        WrongSettingsError: Something is wrong; the text has every problem on a line of its own, with its place.
    """
    file = config if config is not None else next((place for place in DEFAULT_FILES if place.is_file()), None)
    from_file = settings_file(file) if file is not None else _no_file()
    layers = (command_line(overrides or {}), environment(), secrets(), from_file)
    problems = [problem for layer in layers for problem in layer.problems]
    refused = frozenset(problem.place.where for problem in problems)
    problems += _misplaced_password(from_file)
    problems += [problem for layer in layers for problem in _unknown_keys(layer, layer.values, ())]
    settings, wrong = _validated(layers)
    # What was refused as YAML is left out, which is no second mistake.
    problems += [problem for problem in wrong if problem.place.where not in refused]
    host_given = settings is not None and bool(settings.host)
    if settings is not None:
        settings, wrong = _completed(settings, layers)
        problems += wrong
    policies_place = next((layer.place(("policies",)) for layer in layers if "policies" in layer.values), None)
    if problems or settings is None:
        raise WrongSettingsError(problems, policies=_policies_of(layers), policies_place=policies_place)
    source = str(file) if file is not None else f"defaults: there is neither {' nor '.join(map(str, DEFAULT_FILES))}"
    return LoadedSettings(
        settings=settings, source=source, file=file, host_given=host_given, policies_place=policies_place
    )


def _policies_of(layers: tuple[Layer, ...]) -> Path | None:
    """The policy folder of a configuration with mistakes; None when it may be another one once they are mended."""
    said = next((layer.values["policies"] for layer in layers if "policies" in layer.values), None)
    if said is None:
        hidden = any(layer.problems and not layer.values for layer in layers)
        misspelt = any(
            (wrong := unknown_key((name,))) is not None and "policies" in wrong[1]
            for layer in layers
            for name in layer.values
        )
        if hidden or misspelt:
            return None
    folder = _merged(layers).get("policies")
    return Path(folder) if isinstance(folder, str) and folder.strip() and "\0" not in folder else None


def _no_file() -> Layer:
    return Layer(values={}, base=DEFAULT_FILES[0].parent, place=lambda path: Place(source="default", path=joined(path)))


def _misplaced_password(file: Layer) -> list[SettingProblem]:
    mqtt = file.values.get("mqtt")
    if not isinstance(mqtt, dict) or "password" not in mqtt:
        return []
    place, remedy = file.place_of_key(("mqtt", "password")), "use password_file or the secret mqtt__password"
    return [SettingProblem(place=place, message="a password does not belong here", remedy=remedy)]


def _unknown_keys(layer: Layer, tree: Mapping[str, object], above: tuple[str, ...]) -> Iterable[SettingProblem]:
    for name, value in tree.items():
        path = (*above, name)
        wrong = unknown_key(path)
        if wrong is not None:
            yield SettingProblem(place=layer.place_of_key(path), message=wrong[0], remedy=wrong[1])
        elif isinstance(value, dict):
            yield from _unknown_keys(layer, value, path)


def _merged(layers: tuple[Layer, ...]) -> Tree:
    """One tree, the first layer winning; relative paths resolved; unknown keys, reported already, left out."""
    merged: Tree = {}
    default_base = layers[-1].base
    for layer in reversed(layers):
        _overlay(merged, layer.values, (), layer.base)
    if "policies" not in merged:
        merged["policies"] = str(default_base / "policies")
    return merged


def _overlay(merged: Tree, values: Mapping[str, object], above: tuple[str, ...], base: Path) -> None:
    for name, value in values.items():
        path = (*above, name)
        if unknown_key(path) is not None:
            continue
        if isinstance(value, dict):
            below = merged.get(name)
            below = dict(below) if isinstance(below, dict) else {}
            _overlay(below, value, path, base)
            merged[name] = below
        elif path in _PATHS and isinstance(value, str) and value.strip():
            merged[name] = str(base / value)
        else:
            merged[name] = value


def _validated(layers: tuple[Layer, ...]) -> tuple[Settings | None, list[SettingProblem]]:
    try:
        return Settings.model_validate(_merged(layers)), []
    except ValidationError as errors:
        return None, [_problem(error, layers) for error in errors.errors(include_url=False)]


def _problem(error: ErrorDetails, layers: tuple[Layer, ...]) -> SettingProblem:
    path: KeyPath = tuple(error["loc"])
    while path and not any(layer.says(path) for layer in layers):
        path = path[:-1]
    message, remedy = _sentence(error)
    return SettingProblem(place=_layer_of(path, layers).place(path), message=message, remedy=remedy)


def _sentence(error: ErrorDetails) -> tuple[str, str]:
    raised = error.get("ctx", {}).get("error")
    message, remedy = getattr(raised, "message", None), getattr(raised, "remedy", None)
    if isinstance(message, str) and isinstance(remedy, str):
        return message, remedy
    kind = error["type"]
    if kind == "literal_error":
        expected = str(error.get("ctx", {}).get("expected", "")).replace("'", "").replace(" or ", ", ")
        return _not_one_of(error["input"], tuple(expected.split(", ")))
    text = error["msg"]
    return _SENTENCES.get(kind, (text[:1].lower() + text[1:], "see the reference of the settings"))


def _not_one_of(given: object, words: tuple[str, ...]) -> tuple[str, str]:
    if not isinstance(given, str):
        return "this value is not known", one_of(words)
    near = meant(given, words)
    return f"{shown(given)} is not known here", (f"did you mean {near}? " if near else "") + one_of(words)


def _completed(settings: Settings, layers: tuple[Layer, ...]) -> tuple[Settings, list[SettingProblem]]:
    """Fill in what depends on this machine, and look at the files that are named."""
    wrong = list(_missing_files(settings))
    host = settings.host or socket.gethostname()
    try:
        checked_host(host)
    except ValueError:
        wrong.append((("host",), f"this machine's name {shown(host)} can't be a level of a topic", "set host"))
    mqtt = settings.mqtt
    update: Tree = {}
    if not mqtt.client_id:
        update["client_id"] = _client_id_of(host)
    if mqtt.password is None and mqtt.password_file is not None:
        try:
            update["password"] = SecretStr(read_secret(mqtt.password_file))
        except SecretError as error:
            wrong.append((("mqtt", "password_file"), error.message, error.remedy))
    settings = settings.model_copy(update={"host": host, "mqtt": mqtt.model_copy(update=update)})
    return settings, [
        SettingProblem(place=_layer_of(path, layers).place(path), message=message, remedy=remedy)
        for path, message, remedy in wrong
    ]


def _client_id_of(host: str) -> str:
    return f"watchtower-{host}"[:LONGEST_CLIENT_ID]


def with_host(settings: Settings, host: str) -> Settings:
    """The same settings for a host of another name."""
    mqtt = settings.mqtt
    if mqtt.client_id == _client_id_of(settings.host):
        mqtt = mqtt.model_copy(update={"client_id": _client_id_of(host)})
    return settings.model_copy(update={"host": host, "mqtt": mqtt})


def _missing_files(settings: Settings) -> Iterable[tuple[tuple[str, ...], str, str]]:
    remedy = "name a file that the agent may read"
    for section, tls in (("engine", settings.engine.tls), ("mqtt", settings.mqtt.tls)):
        for name in TlsSettings.model_fields:
            file = getattr(tls, name)
            if file is not None and not _readable(file):
                yield (section, "tls", name), f"{file} can't be read", remedy
    ssh = settings.engine.ssh_config
    if ssh is not None and not _readable(ssh):
        yield ("engine", "ssh_config"), f"{ssh} can't be read", remedy


def _readable(file: Path) -> bool:
    return file.is_file() and os.access(file, os.R_OK)


def _layer_of(path: KeyPath, layers: tuple[Layer, ...]) -> Layer:
    return next((layer for layer in layers if layer.says(path)), layers[-1])
