"""The word on which a text that is no condition slips, and how it is written here."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final, cast

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from watchtower_agent.policies.conditions.passage import ConditionProblem
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
_ARITHMETIC: Final = "compare with a fixed value or a name; shares are names of their own, such as memory.percent"
_STRAIGHT: Final = 'write straight quotes, as in "unhealthy"'
_OTHER_SIGNS: Final = MappingProxyType(
    {
        "“": _STRAIGHT,
        "”": _STRAIGHT,
        "„": _STRAIGHT,
        "\u2018": _STRAIGHT,
        "\u2019": _STRAIGHT,
        "`": _STRAIGHT,
        "≥": "write >=",
        "≤": "write <=",
        "≠": "write !=",
        "\xa0": "write an ordinary blank",
        "*": _ARITHMETIC,
        "/": _ARITHMETIC,
        "+": _ARITHMETIC,
        "-": _ARITHMETIC,
        "~": "write ==, or in for several; patterns with * belong in select",
        ";": "write and, or or",
        "#": "put a comment on a line of its own, outside of the condition",
        "$": "write the value itself: variables are not filled in",
    }
)
_WORDS_FOR_SIGNS: Final = MappingProxyType(
    {
        "contains": "==, or in for several; patterns with * belong in select",
        "equals": "==",
        "is": "==",
        "isnt": "!=",
        "like": "==, or in for several; patterns with * belong in select",
        "matches": "==, or in for several; patterns with * belong in select",
    }
)
OTHER_SIGNS: Final = (*_WORDS_FOR_SIGNS, "between")
"""Words of other languages that stand between what is compared."""
_OTHER_WORDS: Final = MappingProxyType({**_WORDS_FOR_SIGNS, "also": "and", "unless": "and not"})
_OPERATORS: Final = frozenset({"and", "or", "not", "in"})
_SCOPES_OF_KEYS: Final = re.compile(r"\b(labels|event\.attributes)\[$")
_LAST_NAME: Final = re.compile(r"([A-Za-z_][\w.]*)\s*([<>]=?)\s*(\S+)$|([A-Za-z_][\w.]*)$", re.ASCII)
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
    if (shouted := next(filter(_shouted, (written, before.split(" ")[-1])), None)) is not None:
        return f"{shown(shouted)} is not an operator here", f"write {shouted.lower()}"
    if (meant := _in_a_number(text, at, written) or _of_other_languages(text[:at].rstrip(), written)) is not None:
        return meant
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


def _shouted(word: str) -> bool:
    return word.lower() in _OPERATORS and word not in _OPERATORS


def _in_a_number(text: str, at: int, written: str) -> tuple[str, str] | None:
    """`1,5GiB` and `1_000`."""
    before, word = text[:at], shown(written)
    if written == "," and before[-1:].isdigit() and text[at + 1 : at + 2].isdigit():
        return '"," is not part of a number', "write a point, as in 1.5GiB"
    if re.fullmatch(r"_\d[\d_]*", written) and before[-1:].isdigit():
        return f"{word} is not part of a number", "write the number without _"
    return None


def _of_other_languages(before: str, written: str) -> tuple[str, str] | None:  # noqa: PLR0911 - one return a mistake
    """Sentences and calls as other languages have them, in which the word is in place."""
    word = shown(written)
    last = _LAST_NAME.search(before)
    if before == "if":
        return '"if" is not part of a condition', "leave it out"
    if written == "then":
        return f"{word} is not part of a condition", "write then: beside when"
    if written == "per" and last is not None and last[1]:
        return f"{word} is not part of a condition", f"write delta({last[1]}, 10m) {last[2]} {last[3]} for ten minutes"
    if written == "between" and last is not None and last[4]:
        return f"{word} is not an operator here", f"write {last[4]} >= 10% and {last[4]} <= 20%, as the numbers are"
    if (keyed := _SCOPES_OF_KEYS.search(before)) is not None:
        return f"{word} is not in quotes", f"write {keyed[1]}[{shown(written)}]"
    if before.endswith("[") and (name := _LAST_NAME.search(before[:-1])) is not None and name[4]:
        return f"{word} is not expected here", f"write avg({name[4]}, 5m) for a mean, or max, min, p95, rate, delta"
    if last is not None and last[4] in {"avg", "max", "min", "p95", "rate", "delta"}:
        return f"{last[4]} takes a name and a duration in parentheses", f"write {last[4]}({written}, 5m)"
    if written == ">" and before.endswith(">"):
        return '">>" is not an operator here', "write >"
    return None


def _in_a_list(before: str, written: str) -> tuple[str, str] | None:
    """What is wrong between brackets, if that is where it is."""
    opener = max(before.rfind("["), before.rfind("("))
    if opener < 0 or "]" in before[opener:] or ")" in before[opener:]:
        return ('"," is not an operator here', "write and, or or") if written == "," else None
    if before[opener] == "(" and re.search(r"\bin\s*\($", before[: opener + 1]):
        return "after in comes a list", f"write it in brackets: in [{before[opener + 1 :].strip()}, …]"
    function = re.search(r"\w\($", before[: opener + 1])
    if before[opener] == "[" and re.search(r"\w\[$", before[: opener + 1]):
        return f"{shown(written)} is not expected here", "close the bracket before it, with ]"
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
    message, remedy = _of_string(text[at:]) or _of_number(text, at) or _of_sign(text[at:])
    return ConditionProblem(text, at, message, remedy)


def _of_string(rest: str) -> tuple[str, str] | None:
    if rest[0] not in {'"', "'"}:
        return None
    if "\\" in rest:
        return "this string is not well formed", 'a backslash stands only before " or \\'
    return "this string has no end", f"close it with {rest[0]}"


def _of_number(text: str, at: int) -> tuple[str, str] | None:
    """Numbers and units as they are written elsewhere."""
    before, rest = text[:at], text[at:]
    if (apart := _in_pieces(text, at)) is not None:
        return apart
    if re.match(r"/\s*s(?:ec(?:ond)?)?\b", rest):
        return f"{shown(rest[:2])} has no meaning here", "leave it out: rates are per second"
    if (number := re.match(r"\.[0-9]+\w*%?", rest)) is not None:
        return f"{shown(number[0])} begins with a point", f"write 0{number[0]}"
    if rest[0] == "." and before[-1:].isdigit():
        return "a number ends with a point", "leave the point out"
    if (minutes := re.search(r"[0-9]+$", before)) and (seconds := re.match(r":[0-9]+", rest)):
        return f"{shown(minutes[0] + seconds[0])} is not a duration", "write it with one unit, as in 90s or 90m"
    return None


def _of_sign(rest: str) -> tuple[str, str]:
    for foreign, ours in _OTHER_LANGUAGES:
        if rest.startswith(foreign):
            return f"{shown(foreign)} is not an operator here", f"write {ours}"
    usual = "use names, numbers, quoted text, comparisons, and, or, not"
    return f"{shown(rest[0])} has no meaning here", _OTHER_SIGNS.get(rest[0], usual)


def _opened(text: str) -> int:
    return text.count("(") + text.count("[") - text.count(")") - text.count("]")
