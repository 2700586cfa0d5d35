"""What is wrong with a text that is no YAML, in the words of who wrote it, and what to write instead.

libyaml tells in its parser's terms what it had expected, often a line further down than the mistake. So it is only
asked where it stumbled; what was meant is looked for in the lines around.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from watchtower_agent.policies.problem import shown

_BLANK_MISSING: Final = re.compile(r"""\s*(?:-\s+)*([^\s:#"'\[{]+):([^\s:"'\[{]\S*)\s*""")
_DASH_ALONE: Final = re.compile(r"\s*-([^\s-]\S*)")
_CONFLICT: Final = re.compile(r"<{7}|={7}|>{7}|\|{7}")
_KEY_BEFORE: Final = re.compile(r"""[^\s"'#]\s*:\s""")
_PLAIN_END: Final = re.compile(r"\s#|:\s|$")
_FLOW_END: Final = re.compile(r"\s#|:\s|[,\]}]|$")
_ODD_BREAK: Final = re.compile("[\x85\u2028\u2029]")
_CLOSERS: Final = {"{": "}", "[": "]"}
_INDENTATION: Final = "begin the keys of one mapping in the same column, with blanks"


class Stumble(NamedTuple):
    """Where the parser gave up, and what it says of that."""

    what: str
    context: str
    at: int
    """Characters from the text's begin."""
    begun: int
    """The same, of what it was reading then."""


class Said(NamedTuple):
    """A mistake in words; `at` in characters from the text's begin."""

    at: int
    message: str
    remedy: str


def said(text: str, stumble: Stumble) -> Said:
    """The mistake that made the parser stumble."""
    return (
        _by_sign(text, stumble)
        or _in_quotes(text, stumble)
        or _in_brackets(text, stumble)
        or _between_lines(text, stumble)
        or Said(stumble.at, "this can't be read as YAML", "check indentation, quotes and brackets here and just above")
    )


def in_quotes(text: str, at: int) -> str:
    """What begins at a place of the text and was meant as one text, as it is written in quotes."""
    line = _line(text, at)
    before = line[: at - _line_start(text, at)]
    flow = before.count("{") + before.count("[") > before.count("}") + before.count("]")
    rest = line[len(before) :]
    end = (_FLOW_END if flow else _PLAIN_END).search(rest)
    return _quoted(rest[: end.start()] if end else rest)


def _quoted(text: str) -> str:
    text = text.strip()
    return "'" + text.replace("'", "''") + "'" if '"' in text or "\\" in text else f'"{text}"'


def _by_sign(text: str, stumble: Stumble) -> Said | None:  # noqa: PLR0911 - one return per mistake
    """Characters that mean something to YAML where a text was meant to begin, or an indentation."""
    what, at = stumble.what, stumble.at
    sign = text[at : at + 1]
    if "tab character" in what or (sign == "\t" and "cannot start any token" in what):
        return Said(at, "a tab is no indentation in YAML", "indent with blanks, not with a tab")
    if "directive" in stumble.context or "incompatible YAML" in what:
        return Said(_line_start(text, at), "a line that begins with % means something else to YAML", "remove it")
    if "<document start>" in what:
        return Said(at, "this stands outside of the document", "remove it, or the line above that begins with % or ...")
    if "cannot start any token" in what:
        return _unquoted(text, at, at)
    if "tag handle" in what or ("mapping keys" in what and text[_line_start(text, at) : at].rstrip().endswith(":")):
        return _unquoted(text, at, at)
    if "alias" in stumble.context or "anchor" in stumble.context or "a tag" in stumble.context:
        line, start = _line(text, stumble.begun), _line_start(text, stumble.begun)
        before = line[: stumble.begun - start]
        if before.rstrip().endswith("]"):
            return _unquoted(text, stumble.begun, start + before.rfind("["))
        return _unquoted(text, stumble.begun, stumble.begun)
    return None


def _unquoted(text: str, at: int, begin: int) -> Said:
    sign = shown(text[at : at + 1])
    if begin < at:
        return Said(at, f"{sign} is not expected after a list", f"put the text in quotes: {_whole(text, begin)}")
    return Said(at, f"a text that begins with {sign} needs quotes", f"write {in_quotes(text, at)}")


def _in_quotes(text: str, stumble: Stumble) -> Said | None:  # noqa: PLR0911 - one return per mistake
    """Mistakes within quotes and block texts, or right after."""
    what, at = stumble.what, stumble.at
    if "quoted scalar" in stumble.context:
        if "end of stream" in what or "document indicator" in what:
            sign = text[stumble.begun : stumble.begun + 1]
            return Said(stumble.begun, "this quote is never closed", f"close it with {sign}")
        return Said(
            at,
            "a backslash in double quotes begins an escape, and this is none",
            r"write \\ for a backslash, or put the text in single quotes",
        )
    if "block scalar" in stumble.context:
        return Said(at, "after | or > nothing more belongs on the line", "begin the text on the next line")
    if not any(sign in what for sign in ("expected key", "expected '-'", "mapping keys")):
        return None
    start = _line_start(text, at)
    before = text[start:at].rstrip()
    if not before.endswith(('"', "'", "}", "]")):
        return None
    word = shown(re.split(r"\s#", _line(text, at)[at - start :])[0].strip())
    if before[-1] in "}]":
        return Said(
            at, f"{word} follows where the value has ended", f"remove it, or open a bracket for it before {word}"
        )
    opened = before.rfind(before[-1], 0, -1)
    key = _KEY_BEFORE.search(before)
    begin = start + (opened if key is None else key.end())
    return Said(
        at, f"{word} follows where the quotes have ended", f"put the whole value in quotes: {_whole(text, begin)}"
    )


def _whole(text: str, begin: int) -> str:
    """The rest of a line but for its comment, in quotes."""
    return _quoted(re.split(r"\s#", _line(text, begin)[begin - _line_start(text, begin) :])[0])


def _in_brackets(text: str, stumble: Stumble) -> Said | None:  # noqa: PLR0911 - one return per mistake
    """Mistakes within `{}` and `[]`."""
    what, at, begun = stumble.what, stumble.at, stumble.begun
    if "nesting depth" in what:
        return Said(at, "brackets are nested far too deep here", "close them, 32 levels are the most")
    if "node content" in what and at >= len(text.rstrip()):
        return Said(at, "the file ends within brackets", "close every { with } and every [ with ]")
    if "node content" in what:
        return Said(at, "a value is missing here", "write one, or remove the sign that is too much")
    opener = text[begun : begun + 1]
    if "flow" not in stumble.context or opener not in _CLOSERS:
        return None
    closer = _CLOSERS[opener]
    if at >= len(text.rstrip()):
        return Said(begun, f"this {opener} is never closed", f"close it with {closer}")
    line = text.count("\n", 0, at) + 1
    if line > text.count("\n", 0, begun) + 1:
        return Said(
            begun,
            f"this {opener} is not closed before line {line} begins something else",
            f"close it with {closer}, or write a comma before line {line}",
        )
    word = shown(text[at : at + 1])
    return Said(at, f"{word} is not expected here within {opener}{closer}", f"close it with {closer}, or write a comma")


def _between_lines(text: str, stumble: Stumble) -> Said | None:  # noqa: PLR0911 - one return per mistake
    """Keys, colons, dashes and indentation of lines that don't go together."""
    what, at = stumble.what, stumble.at
    if "expected ':'" in what:
        return _no_colon(text, stumble.begun)
    if "mapping values" in what:
        return _colon(text, at)
    if "sequence entries" in what:
        return Said(at, "a list can't begin on the line of its key", "begin it on the next line, or write [a, b]")
    if "expected key" in what and text[at : at + 1] == ":":
        return Said(at, "there is no key before this colon", "write one, as in name: web")
    if "expected key" in what and text[at : at + 2] == "- ":
        return Said(at, "an item of a list stands among keys", "put it under a key of its own, or remove the dash")
    if "expected key" in what:
        return Said(at, "this line is indented unlike the keys above it", _INDENTATION)
    if "expected '-'" in what:
        column = stumble.begun - _line_start(text, stumble.begun) + 1
        return Said(
            at,
            "this line is indented neither like the items above it nor like their keys",
            f"begin an item with a dash in column {column}, and its keys further to the right, all in one column",
        )
    return None


def _no_colon(text: str, begun: int) -> Said:
    line = _line(text, begun)
    if _CONFLICT.match(line.lstrip()):
        return Said(
            begun, f"{shown(line.strip())} was left by a merge", "keep one of the two versions and remove the marks"
        )
    if (odd := _ODD_BREAK.search(line)) is not None:
        at = _line_start(text, begun) + odd.start()
        return Said(at, f"the invisible character U+{ord(odd[0]):04X} breaks the line here", "remove it")
    if (glued := _BLANK_MISSING.fullmatch(line)) is not None:
        return _glued(_line_start(text, begun), line, glued)
    word = shown(line[begun - _line_start(text, begun) :].strip())
    return Said(begun, f"a colon is missing after {word}", "write keys and values like name: web")


def _colon(text: str, at: int) -> Said:
    """A colon where no key can end: it is within a value, or the lines above it are not what they seem."""
    start = _line_start(text, at)
    if (key := _KEY_BEFORE.search(text[start:at])) is not None:
        begin = start + key.end()
        return Said(at, 'a text that contains ": " needs quotes', f"write {_whole(text, begin)}")
    above = text[:start].rstrip()
    begun = _line_start(text, len(above))
    line = above[begun:]
    if (glued := _BLANK_MISSING.fullmatch(line)) is not None:
        return _glued(begun, line, glued)
    if (dash := _DASH_ALONE.match(line)) is not None:
        return Said(begun + dash.start(1), "a blank is missing after the dash", f"write {shown('- ' + dash[1])[1:-1]}")
    if not line.strip():
        return Said(start, "this key is too long", "write 1,000 characters at most before the colon")
    return _below(text[start:at], start, line, begun)


def _below(key: str, at: int, above: str, begun: int) -> Said:
    """A key below a line that is no key, or that has a value already; both with where they begin in the text."""
    column, expected = _indented(key), _indented(above)
    if column == expected:
        return Said(begun + expected, f"a colon is missing in {shown(above.strip())}", "write keys like name: web")
    if column < expected:
        return Said(at + column, "this line is indented unlike those above it", _INDENTATION)
    message = "this line is indented further than the one above it, which has a value already"
    return Said(at + column, message, f"begin it in column {expected + 1}, like the line above")


def _indented(line: str) -> int:
    """Columns before a line's first word; the dash of an item is none."""
    found = re.search(r"[^\s-]", line)
    return found.start() if found else 0


def _glued(start: int, line: str, glued: re.Match[str]) -> Said:
    written = shown(line.strip().removeprefix("- "))
    message = f"a blank is missing after the colon in {written}"
    return Said(start + glued.start(2), message, f"write {glued[1]}: {glued[2]}")


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _line(text: str, at: int) -> str:
    end = text.find("\n", at)
    return text[_line_start(text, at) : len(text) if end < 0 else end].rstrip("\r")
