"""The places that settings come from, each as a tree of values that knows where every value stands."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from pydantic_settings import EnvSettingsSource
from pydantic_settings.exceptions import SettingsError as SourceError

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.files.core_schema import plain as plain_yaml
from watchtower_agent.policies.files.yaml_reader import read_yaml
from watchtower_agent.policies.problem import Path as KeyPath, did_you_mean, joined, shown
from watchtower_agent.settings.model import ENV_PREFIX, Settings, known_keys, value_paths
from watchtower_agent.settings.problem import Place, SecretError, SettingProblem

Tree = dict[str, object]

_ENVIRONMENT: Final = "environment"
SECRETS_FOLDER: Final = Path("/run/secrets")
_LARGEST_SECRET: Final = 64 * 1024
_OF_A_SECRET: Final = re.compile(rb"pass|secret|token|credential", re.IGNORECASE)
_UNREPEATED: Final = (
    "this is no YAML, and is not repeated since it may be a password",
    "which does not belong here: use mqtt.password_file or the secret mqtt__password",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one place says.

    Attributes:
        values: Nested, as written.
        base: Relative paths in it are relative to this folder.
        place: Where the value of a path stands.
        key_place: Where its key stands, when that is another place.
        problems: What could not be read at all.
    """

    values: Tree
    base: Path
    place: Callable[[KeyPath], Place]
    key_place: Callable[[KeyPath], Place] | None = None
    problems: tuple[SettingProblem, ...] = ()

    def place_of_key(self, path: KeyPath) -> Place:
        """Where the key of a path stands."""
        return (self.key_place or self.place)(path)

    def says(self, path: KeyPath) -> bool:
        """Whether a value comes from here: the path, or a text where a section should be."""
        node: object = self.values
        for step in path:
            if not isinstance(node, dict):
                return node is not None
            if step not in node:
                return False
            node = node[str(step)]
        return True


def unknown_key(path: Sequence[str]) -> tuple[str, str] | None:
    """What is wrong with a path that no setting has, and the nearest key; None when it is known."""
    keys: Mapping[str, type[BaseModel] | None] = known_keys()
    for depth, step in enumerate(path):
        if step not in keys:
            return f"unknown key {shown(step)}", did_you_mean(step, keys)
        section = keys[step]
        if section is None:
            below = path[depth + 1 :]
            return (f"{joined(tuple(path[: depth + 1]))} has no keys below it", "write a value") if below else None
        keys = known_keys(section)
    return None


def command_line(overrides: Mapping[str, object]) -> Layer:
    """What the caller asked for: keys with dots (`mqtt.url`), or nested mappings."""
    values: Tree = {}
    for name, value in overrides.items():
        put(values, tuple(name.split(".")), value)
    return Layer(values=values, base=Path.cwd(), place=lambda path: Place(source="command line", path=joined(path)))


def put(tree: Tree, path: tuple[str, ...], value: object) -> None:
    """Set a value deep in a tree, making the sections on the way."""
    *above, last = path
    for step in above:
        below = tree.get(step)
        if not isinstance(below, dict):
            below = tree[step] = {}
        tree = below
    if isinstance(value, Mapping):
        for name, item in value.items():
            put(tree, (last, str(name)), item)
        tree.setdefault(last, {})
    else:
        tree[last] = value


def environment() -> Layer:
    """Variables with the agent's prefix. An unknown one is a mistake; those of other programs are none of ours."""
    problems = []
    for name in sorted(os.environ):
        if not name.upper().startswith(ENV_PREFIX):
            continue
        path = tuple(name[len(ENV_PREFIX) :].lower().split("__"))
        wrong = unknown_key(path)
        if wrong is not None:
            variable = Place(source=_ENVIRONMENT, path=joined(path), name=name)
            problems.append(SettingProblem(place=variable, message=wrong[0], remedy=_as_variable(wrong[1])))
    values: Tree = {}
    if not problems:
        try:
            values = EnvSettingsSource(Settings)()
        except SourceError as error:
            remedy = "write JSON, or set each key by a variable of its own"
            problems.append(SettingProblem(place=Place(source=_ENVIRONMENT), message=str(error), remedy=remedy))
    return Layer(
        values=values,
        base=Path.cwd(),
        place=_of_variable,
        problems=tuple(problems),
    )


def _of_variable(path: KeyPath) -> Place:
    # An item of a list has no variable of its own.
    name = ENV_PREFIX + "__".join(step for step in path if isinstance(step, str)).upper()
    return Place(source=_ENVIRONMENT, path=joined(path), name=name)


def _as_variable(remedy: str) -> str:
    start, found, word = remedy.partition("did you mean ")
    return f"{start}{found}{word.upper()}" if found else remedy


def secrets() -> Layer:
    """Files named like a nested key (`mqtt__password`) in systemd's credentials folder and in /run/secrets."""
    folders = [Path(name)] if (name := os.environ.get("CREDENTIALS_DIRECTORY")) else []
    values: Tree = {}
    files: dict[KeyPath, Path] = {}
    problems: list[SettingProblem] = []

    def place(path: KeyPath) -> Place:
        file = files.get(path)
        return Place(source="secrets" if file is None else str(file), is_file=file is not None, path=joined(path))

    for path, file in _secret_files([*folders, SECRETS_FOLDER]):
        if path in files:
            continue
        files[path] = file
        try:
            # An empty one is none: a unit of systemd has to name something where there is no password.
            if secret := read_secret(file):
                put(values, path, secret)
        except SecretError as error:
            problems.append(SettingProblem(place=place(path), message=error.message, remedy=error.remedy))
    return Layer(
        values=values,
        base=Path.cwd(),
        place=place,
        problems=tuple(problems),
    )


def _secret_files(folders: Sequence[Path]) -> Iterator[tuple[tuple[str, ...], Path]]:
    # Only nested keys: a secret called `host` or `mode` is somebody else's.
    nested = [path for path in value_paths() if len(path) > 1]
    for folder in folders:
        try:
            names = set(os.listdir(folder))  # noqa: PTH208 - iterdir raises at first use only, and later than here
        except OSError:
            continue
        yield from ((path, folder / "__".join(path)) for path in nested if "__".join(path) in names)


def read_secret(file: Path) -> str:
    """A secret's text, without the line break at its end.

    Raises:
        SecretError: It can't be read; it says why and what to do.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_SECRET + 1)
    except OSError as error:
        raise SecretError(f"{file} can't be read ({error.strerror})", "make it readable for the agent") from None
    if len(content) > _LARGEST_SECRET:
        raise SecretError(f"{file} is larger than 64 KiB", "a password is not")
    try:
        return content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretError(f"{file} is not UTF-8 text", "save it as UTF-8") from None


def _may_be_secret(lines: Sequence[bytes], number: int) -> bool:
    """Whether what stands in a line may belong to a key of a secret: its own, or that of a line above it."""
    for line in reversed(lines[:number]):
        if _OF_A_SECRET.search(line):
            return True
        before_comment = line.partition(b"#")[0].rstrip()
        if b": " in before_comment or before_comment.endswith(b":"):
            return False
    return False


def _nowhere(path: KeyPath) -> Place:
    return Place(path=joined(path))


def settings_file(file: Path) -> Layer:
    """agent.yaml, read as strictly as policies are."""
    base = file.absolute().parent

    def wrong(
        message: str, remedy: str, line: int | None = None, column: int | None = None, path: str = ""
    ) -> SettingProblem:
        place = Place(source=str(file), is_file=True, line=line, column=column, path=path)
        return SettingProblem(place=place, message=message, remedy=remedy)

    try:
        content = file.read_bytes()
    except OSError as error:
        problem = wrong(f"can't be read ({error.strerror})", "name a file that the agent may read")
        return Layer(values={}, base=base, place=_nowhere, problems=(problem,))
    if all(not line.strip() or line.lstrip().startswith(b"#") for line in content.splitlines()):
        return Layer(values={}, base=base, place=_nowhere)
    document, findings = read_yaml(content)
    problems = []
    lines = content.splitlines()
    for mark, finding in findings:
        told = _UNREPEATED if _may_be_secret(lines, mark.line) else (finding.message, finding.remedy)
        problems.append(wrong(*told, mark.line, mark.column, joined(finding.path)))
    if document is None:
        return Layer(values={}, base=base, place=_nowhere, problems=tuple(problems))
    values = plain_yaml(document.root)
    if not isinstance(values, dict):
        problems.append(wrong("this is not a mapping", "write keys like mode: enforce", 1, 1))
        values = {}
    # A section with nothing in it (`mqtt:` and only comments below) is a section left at its defaults.
    sections = {name for name, section in known_keys().items() if section is not None}

    def place(path: KeyPath, *, at_key: bool = False) -> Place:
        line, column = document.place(path, at_key=at_key)
        return Place(source=str(file), is_file=True, line=line, column=column, path=joined(path))

    return Layer(
        values={name: {} if value is None and name in sections else value for name, value in values.items()},
        base=base,
        place=place,
        key_place=partial(place, at_key=True),
        problems=tuple(problems),
    )
