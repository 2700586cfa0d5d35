"""Patterns that can never match: a slip of the pen that would select nothing, without a word."""

from __future__ import annotations

import re

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.problem import shown

_IN_BRACKETS = re.compile(r"\[!?.[^\]]*\]")
_IN_NO_NAME = frozenset("^$|()\\{},")
_BRACES = re.compile(r"([^{}]*)\{([^{}]*)\}([^{}]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobProblem:
    """What is wrong with a pattern.

    Attributes:
        message: What is wrong.
        remedy: What would be right.
        offset: Characters into the pattern, from 0.
    """

    message: str
    remedy: str
    offset: int = 0


def glob_problem(pattern: str, *, of: str = "name") -> GlobProblem | None:
    """Why nothing can match a pattern of `*`, `?`, `[ab]` and `[!ab]`; None when something can.

    Args:
        pattern: As it is written.
        of: What it is matched against, in a word or two. Names have no blanks around them.
    """
    if not pattern.strip():
        kind = "only blanks" if pattern else "empty"
        return GlobProblem(message=f"the pattern is {kind} and matches no {of}", remedy='write a name, or "*" for any')
    if pattern != pattern.strip():
        return GlobProblem(
            message=f"{shown(pattern)} has blanks around it and matches no {of}",
            remedy=f"write {shown(pattern.strip())}",
            offset=0 if pattern[0].isspace() else len(pattern.rstrip()),
        )
    return _brackets(pattern) or (_other_language(pattern) if of == "name" else None)


def value_problem(pattern: str) -> GlobProblem | None:
    """The same for the value of a label, which may be empty and may have blanks around it."""
    if pattern and not pattern.strip():
        return GlobProblem(
            message="the pattern is only blanks", remedy='write "" for a label without a value, or "*" for any value'
        )
    return _brackets(pattern)


def _other_language(pattern: str) -> GlobProblem | None:
    """Signs of regular expressions, and of what excludes elsewhere: no name of anything has them."""
    if pattern.startswith("!"):
        return GlobProblem(
            message=f"{shown(pattern)} begins with !, which no name does",
            remedy=f"write not: {{name: {pattern[1:].strip() or 'web'}}} for all but those",
        )
    if pattern.startswith("/"):
        return GlobProblem(
            message=f"{shown(pattern)} begins with /, which no name does",
            remedy=f"write {pattern.lstrip('/') or 'web'}",
        )
    outside = _IN_BRACKETS.sub(lambda found: " " * len(found[0]), pattern)
    at = next((at for at, sign in enumerate(outside) if sign in _IN_NO_NAME), None)
    if at is None:
        return None
    if pattern[at] in "{,":
        braces = _BRACES.fullmatch(pattern)
        before, inside, after = braces.groups() if braces else ("", pattern, "")
        several = [f'"{before}{each.strip()}{after}"' for each in inside.split(",") if each.strip()]
        sign = "a comma" if pattern[at] == "," else pattern[at]
        message = f"{shown(pattern)} has {sign}, which no name has"
        return GlobProblem(message=message, remedy=f"write a list: [{', '.join(several[:4])}]", offset=at)
    plain = re.sub(r"\.\*", "*", outside).strip("^$")
    example = plain if re.fullmatch(r"[\w.*?/:-]+", plain) and plain.strip("*") else "web*"
    return GlobProblem(
        message=f"{shown(pattern)} has {pattern[at]}, which no name has",
        remedy=f"write {example}: patterns have * for any text, ? for any character, [ab] for one of some",
        offset=at,
    )


def _brackets(pattern: str) -> GlobProblem | None:
    at = 0
    while (at := pattern.find("[", at)) != -1:
        begin = at + 1 + (pattern[at + 1 : at + 2] == "!")
        # A bracket right at the begin is one of the characters, as in every shell.
        end = pattern.find("]", begin + 1)
        if end == -1:
            return GlobProblem(
                message=f"the bracket in {shown(pattern)} is never closed",
                remedy="close it with ], or write [[] for the character itself",
                offset=at,
            )
        characters = pattern[begin:end]
        for low, dash, high in zip(characters, characters[1:], characters[2:], strict=False):
            if dash == "-" and low > high:
                return GlobProblem(
                    message=f"nothing lies between {low} and {high} in {shown(pattern)}",
                    remedy=f"write [{high}-{low}]",
                    offset=at,
                )
        at = end + 1
    return None
