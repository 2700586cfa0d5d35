"""`check`: every mistake in the agent's configuration and in its policies."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from watchtower_agent.cli.text import counted
from watchtower_agent.identity import surroundings_of
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.files.yaml_nodes import MappingNode
from watchtower_agent.policies.files.yaml_reader import LARGEST_FILE, read_yaml
from watchtower_agent.policies.linter.surroundings import UNTOLD
from watchtower_agent.policies.problem import Problem
from watchtower_agent.policy_folder import check_folder
from watchtower_agent.settings import load_settings
from watchtower_agent.settings.loading import WrongSettingsError
from watchtower_agent.settings.model import known_keys
from watchtower_agent.settings.problem import Place, SettingProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckProblem:
    """One mistake.

    Attributes:
        text: One line: place, what is wrong, what would be right.
        file: None for what is in no file.
        line: None, as the column, for what has no place inside its file.
        column: In it.
        path: Keys that lead there; empty for a file or folder as a whole.
        message: What is wrong.
        remedy: What would be right.
    """

    text: str
    file: str | None
    line: int | None
    column: int | None
    path: str
    message: str
    remedy: str

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {name: _valid(value) if isinstance(value, str) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What was checked, and what is wrong with it.

    Attributes:
        settings: Where the agent's configuration comes from; None when only a folder was asked about.
        folder: The policy folder, or the one file of it that was asked about; None when the configuration is too broken
            to tell.
        files: How many policy files there are.
        policies: How many policies they hold, when all is well.
        problems: Everything that is wrong.
        warnings: What is well-formed and can't work, when nothing is wrong with the folder.
    """

    settings: str | None
    folder: Path | None
    files: int
    policies: int
    problems: tuple[CheckProblem, ...]
    warnings: tuple[CheckProblem, ...] = ()

    def summary(self) -> str:
        """That all is well, and what was looked at."""
        policies = "1 policy" if self.policies == 1 else f"{self.policies:,} policies"
        where = "" if self.folder is not None and self.folder.is_file() else f" in {counted(self.files, 'file')}"
        doubts = f", {counted(len(self.warnings), 'warning')}" if self.warnings else ""
        lines = [f"{self.folder}: {policies}{where}, no problems{doubts}"]
        if not self.files:
            lines = [f"{self.folder}: no file in it is named *.yaml or *.yml, so there are no policies"]
        if self.settings is not None:
            lines.insert(0, f"{self.settings}: no problems")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "ok": not self.problems,
            "settings": self.settings,
            "folder": None if self.folder is None else _valid(str(self.folder)),
            "files": self.files,
            "policies": self.policies,
            "problems": [problem.as_json() for problem in self.problems],
            "warnings": [warning.as_json() for warning in self.warnings],
        }


def _valid(text: str) -> str:
    """It as JSON can hold it: in a file's name Linux allows bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode()


def check(config: Path | None, folder: Path | None) -> CheckResult:
    """Check the configuration and the policies, or only a folder when one is named and no configuration.

    Args:
        config: The configuration's file; None for the default places.
        folder: The policy folder; None for the configured one.
    """
    problems: list[CheckProblem] = []
    source, around, said, configured = None, UNTOLD, None, folder is None
    if folder is None or config is not None:
        try:
            loaded = load_settings(config)
            source, around = loaded.source, surroundings_of(loaded.settings)
            if configured:
                folder, said = loaded.settings.policies, loaded.policies_place
        except WrongSettingsError as error:
            if configured:
                folder, said = error.policies, error.policies_place
            source = str(config) if config is not None else "the configuration"
            problems += map(_in_settings, error.problems)
    if folder is None:
        return CheckResult(settings=source, folder=None, files=0, policies=0, problems=tuple(problems))
    folder = _as_typed(folder)
    if not configured and _is_configuration(folder):
        problem = Problem(
            file=str(folder),
            line=None,
            column=None,
            path="",
            message="this is the agent's configuration and no policy file",
            remedy=f"ask with: watchtower-agent check --config {folder}",
        )
        problems.append(_in_policies(problem))
        return CheckResult(settings=source, folder=folder, files=1, policies=0, problems=tuple(problems))
    found = check_folder(folder, around, or_file=not configured)
    problems += [_in_folder(problem, folder, said) for problem in found.problems]
    return CheckResult(
        settings=source,
        folder=folder,
        files=found.files,
        policies=found.policies,
        problems=tuple(problems),
        warnings=tuple(_in_folder(warning, folder, said) for warning in found.warnings),
    )


def _is_configuration(path: Path) -> bool:
    """Whether a file that was named instead of a folder is an agent.yaml, which is no policy file."""
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError:
        return False
    text, _ = read_yaml(content[: LARGEST_FILE + 1])
    keys = set(text.root.values) if text is not None and isinstance(text.root, MappingNode) else set()
    return "version" not in keys and bool(keys & set(known_keys()) - {"policies"})


def _as_typed(folder: Path) -> Path:
    """The path from here where it is below, which is how people name it."""
    try:
        here = Path.cwd()
    except OSError:  # somebody removed it
        return folder
    return folder.relative_to(here) if folder.is_absolute() and folder.is_relative_to(here) else folder


def _in_folder(problem: Problem, folder: Path, said: Place | None) -> CheckProblem:
    """The problem with a path that an editor or a terminal can open.

    Args:
        problem: In the folder, or about the folder itself, or the one file.
        folder: Which.
        said: Where in the configuration the folder is named: there, what is wrong with it is mended.
    """
    if problem.file != str(folder):
        return _in_policies(replace(problem, file=str(folder / problem.file)))
    if said is None or problem.line is not None:
        return _in_policies(problem)
    return _in_settings(SettingProblem(place=said, message=f"{problem.file}: {problem.message}", remedy=problem.remedy))


def _in_policies(problem: Problem) -> CheckProblem:
    return CheckProblem(
        text=str(problem),
        file=problem.file,
        line=problem.line,
        column=problem.column,
        path=problem.path,
        message=problem.message,
        remedy=problem.remedy,
    )


def _in_settings(problem: SettingProblem) -> CheckProblem:
    place = problem.place
    return CheckProblem(
        text=str(problem),
        file=place.source if place.is_file else None,
        line=place.line,
        column=place.column,
        path=place.path,
        message=problem.message,
        remedy=problem.remedy,
    )
