"""What is wrong with a text that is no condition, and how it is written here."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final, cast

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from watchtower_agent.policies.conditions.check import ConditionProblem
from watchtower_agent.policies.problem import shown
from watchtower_agent.policies.quantities import together

_OTHER_LANGUAGES: Final = (
    ("&&", "and"),
    ("||", "or"),
    ("=>", ">="),
    ("=<", "<="),
    ("=~", "== for one text, in for several; patterns with * belong in select"),
    ("=", "=="),
    ("<>", "!="),
    ("!", "not"),
    ("%", "% directly after the number, as in 80%"),
)
_OTHER_WORDS: Final = MappingProxyType(
    {
        "also": "and",
        "contains": "==, or in for several; patterns with * belong in select",
        "equals": "==",
        "is": "==",
        "isnt": "!=",
        "like": "==, or in for several; patterns with * belong in select",
        "matches": "==, or in for several; patterns with * belong in select",
        "unless": "and not",
    }
)
_SHOUTED: Final = frozenset({"AND", "OR", "NOT", "IN"})
_SPANS: Final = frozenset({"for", "during", "over", "within", "since"})
_PIECE: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?\s*(?:%|[A-Za-z]+)", re.ASCII)
_PIECES: Final = re.compile(rf"(?<![\w.]){_PIECE.pattern}(?:\s*{_PIECE.pattern})*", re.ASCII)
_EXPECTED_VALUE: Final = "a name or a value belongs here, as in memory.percent > 90%"


def syntax_problem(text: str, error: UnexpectedInput) -> ConditionProblem:
    """What the parser stumbled over, in words for who wrote the text."""
    if isinstance(error, UnexpectedCharacters):
        # lark annotates it as None, the default of its base class.
        return _unknown_character(text, cast("int", error.pos_in_stream))
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        at = error.token.start_pos or 0
        return ConditionProblem(text, at, *_unexpected(text, error, at))
    end = len(text.rstrip())
    remedy = _EXPECTED_VALUE if _opened(text) <= 0 else "close the parenthesis or bracket"
    return ConditionProblem(text, end, "the condition ends too early", remedy)


def _unexpected(text: str, error: UnexpectedToken, at: int) -> tuple[str, str]:  # noqa: PLR0911 - one return per mistake
    """Message and remedy for a word where it can't stand."""
    written = str(error.token)
    word = shown(written)
    before = text[:at].rstrip()
    if written in {")", "]"} and _opened(text) < 0:
        return f"{word} closes nothing", "remove it, or open it before"
    if (shouted := next((each for each in (written, before.split(" ")[-1]) if each in _SHOUTED), None)) is not None:
        return f"{shown(shouted)} is not an operator here", f"write {shouted.lower()}"
    if written in _SPANS:
        return f"{word} is not part of a condition", "write for: 5m beside when, or avg(cpu.percent, 5m) for a mean"
    if (apart := _in_pieces(text, at) or _in_a_list(before, written)) is not None:
        return apart
    if (ours := _OTHER_WORDS.get(written.lower())) is not None:
        return f"{word} is not an operator here", f"write {ours}"
    if written == ">" and text[:at].rstrip().endswith("<"):
        return '"<>" is not an operator here', "write !="
    if error.expected & {"COMPARE", "_AND", "_OR", "$END"}:
        return f"{word} is not expected here", "remove it, or put and, or, or a comparison before it"
    return f"{word} is not expected here", _EXPECTED_VALUE


def _in_a_list(before: str, written: str) -> tuple[str, str] | None:
    """What is wrong between brackets, if that is where it is."""
    opener = max(before.rfind("["), before.rfind("("))
    if opener < 0 or "]" in before[opener:] or ")" in before[opener:]:
        return ('"," is not an operator here', "write and, or or") if written == "," else None
    if before[opener] == "(" and re.search(r"\bin\s*\($", before[: opener + 1]):
        return "after in comes a list", f"write it in brackets: in [{before[opener + 1 :].strip()}, …]"
    function = re.search(r"\w\($", before[: opener + 1])
    if written != "," and (before[opener] == "[" or function) and not before.endswith((",", "[", "(")):
        return f"a comma is missing before {shown(written)}", "write one between two values"
    return None


def _in_pieces(text: str, at: int) -> tuple[str, str] | None:
    """`1.5 GiB` and `1h30m`, each one value to who wrote it: what to write. None when the place is in no such."""
    for piece in _PIECES.finditer(text):
        if piece.start() < at < piece.end() and (whole := together(piece[0])):
            blank = len(_PIECE.findall(piece[0])) == 1
            why = "has a blank before its unit" if blank else "has more than one unit"
            return f"{shown(piece[0])} {why}", f"write {whole}"
    return None


def _unknown_character(text: str, at: int) -> ConditionProblem:
    rest = text[at:]
    if rest[0] in {'"', "'"}:
        if "\\" in rest:
            return ConditionProblem(
                text, at, "this string is not well formed", 'a backslash stands only before " or \\'
            )
        return ConditionProblem(text, at, "this string has no end", f"close it with {rest[0]}")
    if (apart := _in_pieces(text, at)) is not None:
        return ConditionProblem(text, at, *apart)
    if re.match(r"/\s*s(?:ec(?:ond)?)?\b", rest):
        return ConditionProblem(
            text, at, f"{shown(rest[:2])} has no meaning here", "leave it out: rates are per second"
        )
    for foreign, ours in _OTHER_LANGUAGES:
        if rest.startswith(foreign):
            return ConditionProblem(text, at, f"{shown(foreign)} is not an operator here", f"write {ours}")
    return ConditionProblem(
        text, at, f"{shown(rest[0])} has no meaning here", "use names, numbers, quoted text, comparisons, and, or, not"
    )


def _opened(text: str) -> int:
    return text.count("(") + text.count("[") - text.count(")") - text.count("]")
