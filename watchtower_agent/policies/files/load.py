"""Texts of a policy folder in, policies out; or every problem of every file in one go. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from itertools import chain, islice
from typing import Final

from pydantic import ValidationError

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.files.core_schema import Plain, plain
from watchtower_agent.policies.files.document import FileKeys
from watchtower_agent.policies.files.meaning import Meaning
from watchtower_agent.policies.files.remainder import VERBATIM, keys_of
from watchtower_agent.policies.files.validation import findings_of
from watchtower_agent.policies.files.yaml_nodes import MappingNode, ScalarNode, YamlText
from watchtower_agent.policies.files.yaml_reader import read_in_parts, read_yaml
from watchtower_agent.policies.linter.circles import circles
from watchtower_agent.policies.linter.doubt import Doubt
from watchtower_agent.policies.linter.linter import doubts
from watchtower_agent.policies.linter.rivalry import rivals
from watchtower_agent.policies.linter.surroundings import UNTOLD, Surroundings
from watchtower_agent.policies.policy import Place, Policy, PolicySet
from watchtower_agent.policies.problem import Finding, Path, Problem, joined, shown

MOST_POLICIES: Final = 1000
"""In a folder."""

_MOST_EXAMINED: Final = 10 * MOST_POLICIES
"""In a file: beyond that it is no policy file, and nobody reads a problem about each."""

MOST_WARNINGS: Final = 1000
"""Of a folder."""


def load_policies(files: Mapping[str, bytes], surroundings: Surroundings = UNTOLD) -> PolicySet | tuple[Problem, ...]:
    """Load a folder, whole or not at all.

    Args:
        files: File name -> content.
        surroundings: Where the policies are to work: some work on one host and not on another.

    Returns:
        The policies in the order of file name, then of writing (`loaded_at` is the caller's to set); or every
        problem, in that order too.
    """
    read = [_File(name).load(content) for name, content in sorted(files.items())]
    problems = [problem for file in read for problem in file.problems]
    problems += _repeated_names(read)
    policies = tuple(policy for file in read for policy in file.policies)
    if len(policies) > MOST_POLICIES:
        problems.append(_too_many(policies))
    problems += _refused(read, policies)
    if problems:
        return tuple(sorted(problems, key=lambda problem: (problem.file, problem.line or 0, problem.column or 0)))
    return PolicySet(policies=policies, digest=digest_of(files), warnings=_warnings(read, policies, surroundings))


def _warnings(read: list[_File], policies: tuple[Policy, ...], surroundings: Surroundings) -> tuple[Problem, ...]:
    files = {file.name: file for file in read}
    found = islice(doubts(policies, surroundings), MOST_WARNINGS)
    warnings = [files[doubt.policy.place.file].warning(doubt) for doubt in found]
    return tuple(sorted(warnings, key=lambda each: (each.file, each.line or 0, each.column or 0)))


def _refused(read: list[_File], policies: tuple[Policy, ...]) -> Iterator[Problem]:
    """What would wait for itself for ever, or undo what another policy does, is no doubt but a mistake."""
    files = {file.name: file for file in read}
    outlines = [outline for file in read for outline in file.outlines]
    known = sorted((*policies, *outlines), key=lambda each: (each.place.file, each.place.line, each.place.column))
    for doubt in chain(circles(known), islice(rivals(known), MOST_WARNINGS)):
        yield replace(files[doubt.policy.place.file].warning(doubt), warning=False)


def digest_of(files: Mapping[str, bytes]) -> str:
    """A hash over names and contents."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        for part in (name.encode("utf-8", "surrogateescape"), content):
            digest.update(b"%d:" % len(part))
            digest.update(part)
    return digest.hexdigest()


@dataclass(slots=True)
class _File:
    """One file on its way from bytes to policies."""

    name: str
    problems: list[Problem] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    outlines: list[Policy] = field(default_factory=list)
    """Of policies with mistakes, what other policies can be held against all the same."""
    names: list[tuple[str, Problem]] = field(default_factory=list)
    """Every well-formed name, with the problem that it would be if it were taken already."""
    _refused: frozenset[tuple[int, int]] = frozenset()
    """Where something stands that was refused as YAML: what is missing for it is no second mistake."""
    _text: YamlText | None = None
    _roots: dict[Place, Path] = field(default_factory=dict)
    """Where each policy stands in it."""

    def load(self, content: bytes) -> _File:
        text, mistakes = read_yaml(content)
        if text is None:
            in_parts = read_in_parts(content)
            text, mistakes = in_parts if in_parts[0] is not None else (None, mistakes)
        for mark, finding in mistakes:
            self._add(finding, (mark.line, mark.column))
        self._refused = frozenset((mark.line, mark.column) for mark, _ in mistakes)
        self._text = text
        if text is not None:
            self._load_root(text)
        return self

    def _load_root(self, text: YamlText) -> None:
        root = text.root
        if not isinstance(root, MappingNode):
            finding = Finding(
                path=(), message="the file is not a mapping", remedy="begin with version: 1 and policies:"
            )
            self._add(finding, text.place(()))
            return
        data = plain(root, verbatim=VERBATIM)
        assert isinstance(data, dict)
        listed = data.get("policies", [])
        shell = data if "policies" not in data else data | {"policies": []}
        if not isinstance(listed, list):
            # `policies:` with every item commented out is an empty list.
            shell, listed = (data | {"policies": [] if listed is None else listed}), []
        self._find(text, _validated(shell))
        if len(listed) > _MOST_EXAMINED:
            finding = Finding(
                path=("policies",), message=f"there are {len(listed)} policies", remedy=f"{MOST_POLICIES} is the most"
            )
            self._find(text, [finding])
            return
        for index, item in enumerate(listed):
            self._load_policy(text, index, item)

    def _load_policy(self, text: YamlText, index: int, item: Plain) -> None:
        root: Path = ("policies", index)
        findings, keys, broken = keys_of(text, root, item)
        self._find(text, findings)
        if keys is None:
            return
        if ("name",) not in broken:
            where = text.place((*root, "name"))
            finding = Finding(path=(*root, "name"), message=f"the name {shown(keys.name)} is taken", remedy="")
            self.names.append((keys.name, self._problem(finding, where)))
        line, column = text.place(root)
        meaning = Meaning(keys, root, broken)
        policy = meaning.policy(Place(file=self.name, line=line, column=column))
        self._find(text, meaning.findings)
        known, into = (meaning.outline(), self.outlines) if policy is None else (policy, self.policies)
        if known is not None:
            into.append(known)
            self._roots[known.place] = root

    def warning(self, doubt: Doubt) -> Problem:
        """What is doubtful about one of its policies, with its place."""
        text, path = self._text, (*self._roots[doubt.policy.place], *doubt.path)
        assert text is not None
        place = text.place(path, at_key=doubt.at_key, offset=doubt.offset)
        finding = Finding(path=text.written(path), message=doubt.message, remedy=doubt.remedy)
        return replace(self._problem(finding, place), warning=True)

    def _find(self, text: YamlText, findings: list[Finding]) -> None:
        for finding in findings:
            place = text.place(finding.path, at_key=finding.at_key, offset=finding.offset)
            node = text.node(finding.path)
            if place in self._refused and isinstance(node, ScalarNode) and node.null:
                continue  # an alias stands there, and was told of
            self._add(replace(finding, path=text.written(finding.path)), place)

    def _add(self, finding: Finding, place: tuple[int, int]) -> None:
        self.problems.append(self._problem(finding, place))

    def _problem(self, finding: Finding, place: tuple[int, int]) -> Problem:
        return Problem(
            file=self.name,
            line=place[0],
            column=place[1],
            path=joined(finding.path),
            message=finding.message,
            remedy=finding.remedy,
        )


def _validated(shell: dict[str, Plain]) -> list[Finding]:
    """Findings of the file's own keys."""
    try:
        FileKeys.model_validate(shell)
    except ValidationError as error:
        return list(findings_of(error, FileKeys))
    return []


def _repeated_names(files: list[_File]) -> Iterator[Problem]:
    first: dict[str, Problem] = {}
    for file in files:
        for name, problem in file.names:
            taken = first.setdefault(name, problem)
            if taken is not problem:
                yield Problem(
                    file=problem.file,
                    line=problem.line,
                    column=problem.column,
                    path=problem.path,
                    message=problem.message,
                    remedy=f"choose another: it is used at {taken.file}:{taken.line}:{taken.column}",
                )


def _too_many(policies: tuple[Policy, ...]) -> Problem:
    place = policies[MOST_POLICIES].place
    return Problem(
        file=place.file,
        line=place.line,
        column=place.column,
        path="policies",
        message=f"the folder has {len(policies)} policies",
        remedy=f"{MOST_POLICIES} is the most",
    )
