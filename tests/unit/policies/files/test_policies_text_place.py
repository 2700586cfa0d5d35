"""Every character of a text has its place in the file, however the text is written."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tests.support.policies import problems
from watchtower_agent.policies.files.yaml_reader import read_yaml

HEAD = "version: 1\npolicies:\n- name: a\n  select: {name: x}\n  then: {restart: {}}\n"
LETTERS = {"\t": "t", "\n": "n", "\r": "r", '"': '"', "\\": "\\", "/": "/", "\a": "a", "\x85": "N", "\u2028": "L"}
RAW = st.sampled_from("abzé漢😀\"\\ \t'\n\a\x85\u2028#:")


@st.composite
def quoted(draw: st.DrawFn) -> tuple[str, str, list[int]]:
    """What a text in double quotes says, how it is written, and where each of its characters begins in that."""
    text = draw(st.text(RAW, min_size=1, max_size=30))
    written, begins = "", []
    for character in text:
        ways = [f"\\U{ord(character):08x}"]
        if ord(character) <= 0xFFFF:
            ways.append(f"\\u{ord(character):04X}")
        if ord(character) <= 0xFF:
            ways.append(f"\\x{ord(character):02x}")
        if character in LETTERS:
            ways.append("\\" + LETTERS[character])
        if character.isalnum() or character in "😀'":
            ways += [character, "\\\n    " + character, "\\\r\n " + character]
        way = draw(st.sampled_from(ways))
        joined = len(way) - 1 if way.startswith(("\\\n", "\\\r\n")) else 0
        begins.append(len(written) + joined)
        written += way
    return text, written, begins


@given(quoted())
def test_each_character_in_double_quotes_is_found(example: tuple[str, str, list[int]]) -> None:
    text, written, begins = example
    source = f'# é\nkey: "{written}"\n'
    read, _ = read_yaml(source.encode())

    assert read is not None
    assert getattr(read.node(("key",)), "text", None) == text
    for offset, begin in enumerate(begins):
        if offset and not text[offset].isspace():
            before = source[: source.index('"') + 1 + begin]
            place = before.count("\n") + 1, len(before) - before.rfind("\n")
            assert read.place(("key",), offset=offset) == place


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ('"memory.perc\\\n     ent > 3% and cpu.coes > 1"', ["7:19"]),
        ('"memory.percent > 3% \\\n     and cpu.coes > 1"', ["7:10"]),
        ('"memory.percent > 3%\n\n   and cpu.coes > 1"', ["8:8"]),
        ('"status == \\"\\u202e\\" and cpu.coes > 1"', ["6:20", "6:35"]),
        ('"status == \\"\\x41\\" and\\tcpu.coes > 1"', ["6:20", "6:34"]),
        ("'name == ''x'' and cpu.coes > 1'", ["6:28"]),
        (">-\n   name == 'x'\n   and cpu.coes > 1", ["8:8"]),
        ("name == 'x'\n   and cpu.coes > 1", ["7:8"]),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_mistake_in_a_condition_has_its_line_and_column(when: str, expected: list[str], line_end: str) -> None:
    text = f"{HEAD}  when: {when}\n".replace("\n", line_end)

    assert [f"{each.line}:{each.column}" for each in problems(text)] == expected


def test_lines_that_end_with_a_carriage_return_alone_are_counted() -> None:
    (unknown,) = problems(f"{HEAD}  whne: uptime > 3s\n".replace("\n", "\r"))
    (strange,) = problems(b"version: 1\r\rpolicies: \a")
    (no_text,) = problems(b"version: 1\rpolicies:\r\r  - \xff")

    assert (unknown.line, unknown.column) == (6, 3)
    assert (strange.line, strange.column) == (3, 11)
    assert (no_text.line, no_text.column) == (4, 5)
