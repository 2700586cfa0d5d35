"""YAML is read with the place of everything, on libyaml's parser; every mistake is told with its place. Pure.

Only PyYAML's event parser is used: the tree, its scalars (`core_schema`), and the refusals (duplicate keys, anchors,
tags, depth) are ours.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Protocol

import yaml

from watchtower_agent.policies.files.yaml_nodes import MappingNode, Mark, Node, ScalarNode, SequenceNode, YamlText
from watchtower_agent.policies.files.yaml_parts import parts_of
from watchtower_agent.policies.files.yaml_words import Stumble, in_quotes, said
from watchtower_agent.policies.problem import Finding, Path, shown

LARGEST_FILE: Final = 1024 * 1024
"""Bytes."""
DEEPEST: Final = 32
"""Levels of mappings and lists."""

_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_LONE_RETURN: Final = re.compile("\r(?!\n)")
"""Ends a line in editors and in YAML alike."""

_LIST: Final = "policies:\n"
_START: Final = Mark(line=1, column=1, index=0)


Mistakes = tuple[tuple[Mark, Finding], ...]
"""What is wrong as YAML, each with its place."""


def read_yaml(content: bytes) -> tuple[YamlText | None, Mistakes]:
    """Read one document.

    Returns:
        The text with its nodes, None when there is no telling what it means; and every mistake, with its place.
    """
    try:
        text = _decode(content)
    except _UnreadableError as unreadable:
        return None, ((unreadable.mark, unreadable.finding),)
    root, mistakes = _read(_Reader(text, _Lines(text)))
    return None if root is None else YamlText(text=text, root=root), mistakes


def read_in_parts(content: bytes) -> tuple[YamlText | None, Mistakes]:
    """Read what can be read of a policy file that is no YAML as a whole: each policy by itself.

    Returns:
        The text with its nodes, an empty value in place of each policy that can't be read; and every mistake in the
        parts. None when parts are not what is wrong, or there is no telling them apart.
    """
    try:
        text = _decode(content)
    except _UnreadableError:
        return None, ()
    lines, mistakes = _Lines(text), list[tuple[Mark, Finding]]()
    root, policies = MappingNode(mark=_START), SequenceNode(mark=_START)
    unreadable = False
    for part in parts_of(text):
        node, found = _read(_Reader(text, lines, (part.begin, part.end), under=_LIST if part.policy else ""))
        items = node.values["policies"] if part.policy and isinstance(node, MappingNode) else None
        mistakes += ((mark, _of_item(finding, len(policies.items))) for mark, finding in found)
        if isinstance(items, SequenceNode):
            policies.items += items.items
        elif isinstance(node, MappingNode) and not part.policy:
            root.keys |= node.keys
            root.values |= node.values
        elif part.policy and found:
            unreadable = True
            policies.items.append(ScalarNode(mark=found[-1][0], text="", quoted=False))
        else:
            return None, ()
    root.values["policies"] = policies
    return (YamlText(text=text, root=root), tuple(mistakes)) if unreadable else (None, ())


def _of_item(finding: Finding, index: int) -> Finding:
    """What was found in an item that was read alone, the first of its list."""
    path = finding.path
    return replace(finding, path=("policies", index, *path[2:])) if path[:2] == ("policies", 0) else finding


def _read(reader: _Reader) -> tuple[Node | None, Mistakes]:
    try:
        root = reader.read()
    except _UnreadableError as unreadable:
        told = {mark.line for mark, _ in reader.problems}
        # `name: *web foo`: the rest of a line that was refused already is no second mistake.
        rest = () if unreadable.mark.line in told else ((unreadable.mark, unreadable.finding),)
        return None, (*reader.problems, *rest)
    return root, tuple(reader.problems)


class _UnreadableError(Exception):
    def __init__(self, mark: Mark, message: str, remedy: str) -> None:
        super().__init__(message)
        self.mark = mark
        self.finding = Finding(path=(), message=message, remedy=remedy)


def _decode(content: bytes) -> str:
    if len(content) > LARGEST_FILE:
        raise _UnreadableError(_START, "the file has more than 1 MiB", "split it: 1 MiB is the most a file may have")
    try:
        text = _with_line_feeds(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        before = _with_line_feeds(content[: error.start].decode("utf-8"))
        raise _UnreadableError(
            _Lines(before).mark(len(before)),
            f"byte 0x{content[error.start]:02x} is not UTF-8",
            "save the file as UTF-8",
        ) from None
    text = text.removeprefix("\ufeff")
    if strange := _UNPRINTABLE.search(text):
        raise _UnreadableError(
            _Lines(text).mark(strange.start()),
            f"the character U+{ord(strange.group()):04X} is not allowed in YAML",
            'remove it, or write it as an escape such as "\\x07" in double quotes',
        )
    return text


def _with_line_feeds(text: str) -> str:
    """The same text, in which lines are counted by their line feeds; no character moves."""
    return _LONE_RETURN.sub("\n", text) if "\r" in text else text


class _Lines:
    """Finds the line and column of an index: libyaml's own count knows line breaks that no editor counts."""

    def __init__(self, text: str) -> None:
        self._size = len(text)
        self._breaks = [-1, *(found.start() for found in re.finditer("\n", text))]

    def mark(self, index: int) -> Mark:
        index = min(index, self._size)
        line = bisect_left(self._breaks, index)
        return Mark(line=line, column=index - self._breaks[line - 1], index=index)


class _LibyamlMark(Protocol):
    index: int


class _Reader:
    """Builds the nodes of one document from libyaml's events, without recursion.

    Args:
        text: The file.
        lines: Its lines.
        between: Where in it the document begins and ends: with whole lines; None: it is all of it.
        under: A line that is read before it, as if it stood there.
    """

    def __init__(self, text: str, lines: _Lines, between: tuple[int, int] | None = None, *, under: str = "") -> None:
        begin, self._end = between or (0, len(text))
        self._text = text
        self._lines = lines
        self._document = under + text[begin : self._end]
        self._shift = begin - len(under)
        self.problems: list[tuple[Mark, Finding]] = []
        self._stack: list[SequenceNode | MappingNode] = []
        self._keys: list[ScalarNode | None] = []
        self._paths: list[Path] = [()]
        self._anchors: set[str] = set()

    def read(self) -> Node:
        root: Node | None = None
        documents = 0
        for event in self._events():
            mark = self._mark(event.start_mark)
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    remedy = "remove the line ---, a file has one document"
                    self.problems.append((mark, Finding(path=(), message="a second document begins", remedy=remedy)))
                    break
                continue
            made = self._take(event, mark)
            root = root or made
        if root is None or (isinstance(root, ScalarNode) and root.null):
            raise _UnreadableError(
                _START, "the file is empty", "write version: 1 and policies: [] into it, or delete it"
            )
        return root

    def _take(self, event: yaml.Event, mark: Mark) -> Node | None:
        if isinstance(event, yaml.AliasEvent):
            self._refuse(mark, *self._alias(str(event.anchor), mark))
            return self._add(ScalarNode(mark=mark, text="", quoted=False))
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            self._name_or_type(event, mark)
        if isinstance(event, yaml.ScalarEvent):
            return self._add(ScalarNode(mark=mark, text=event.value, quoted=bool(event.style)))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._open(SequenceNode(mark=mark))
        if isinstance(event, yaml.MappingStartEvent):
            return self._open(MappingNode(mark=mark))
        if isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            self._stack.pop()
            self._keys.pop()
            self._paths.pop()
        return None

    def _alias(self, anchor: str, mark: Mark) -> tuple[str, str]:
        if anchor in self._anchors:
            return f"{shown('*' + anchor)} is an alias", "write the value out: aliases and anchors are not read"
        if self._keys and self._keys[-1] is not None and self._keys[-1].text == "<<":
            return "keys are not merged here", "write them out: aliases and anchors are not read"
        # Nothing has that name: a pattern was meant.
        return 'a text that begins with "*" needs quotes', f"write {in_quotes(self._text, mark.index)}"

    def _name_or_type(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, mark: Mark) -> None:
        if event.anchor is not None:
            self._anchors.add(str(event.anchor))
            remedy = f"remove it: aliases and anchors are not read{self._or_text(event, mark)}"
            self._refuse(mark, f"{shown('&' + event.anchor)} is an anchor", remedy)
        if event.tag is not None:
            remedy = f"remove it: types follow from how a value is written{self._or_text(event, mark)}"
            self._refuse(mark, f"{shown(event.tag)} is a tag", remedy)

    def _or_text(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, mark: Mark) -> str:
        """A text that was meant to begin with the sign, or a name or type that was meant to be one."""
        return f"; or write {in_quotes(self._text, mark.index)}" if isinstance(event, yaml.ScalarEvent) else ""

    def _open(self, node: SequenceNode | MappingNode) -> Node:
        where = self._where()
        self._add(node)
        if len(self._stack) >= DEEPEST:
            raise _UnreadableError(node.mark, f"this is nested {DEEPEST + 1} levels deep", f"use {DEEPEST} at most")
        self._stack.append(node)
        self._keys.append(None)
        self._paths.append(where)
        return node

    def _add(self, node: Node) -> Node:
        if not self._stack:
            return node
        parent = self._stack[-1]
        if isinstance(parent, SequenceNode):
            parent.items.append(node)
            return node
        key = self._keys[-1]
        if key is not None:
            # A duplicate's value is read, and dropped.
            if key.text not in parent.values:
                parent.keys[key.text] = key
                parent.values[key.text] = node
            self._keys[-1] = None
            return node
        self._keys[-1] = self._key(parent, node)
        return node

    def _key(self, parent: MappingNode, node: Node) -> ScalarNode:
        if not isinstance(node, ScalarNode):
            raise _UnreadableError(node.mark, "a key is not a text", "write keys as plain words")
        if node.text in parent.keys:
            first = parent.keys[node.text].mark
            self._refuse(
                node.mark,
                f"the key {shown(node.text)} stands here a second time",
                f"keep one: the first is at line {first.line}",
            )
        return node

    def _refuse(self, mark: Mark, message: str, remedy: str) -> None:
        self.problems.append((mark, Finding(path=self._where(), message=message, remedy=remedy)))

    def _where(self) -> Path:
        """The path of the value that comes next."""
        return (*self._paths[-1], *self._step())

    def _step(self) -> Path:
        if not self._stack:
            return ()
        parent, key = self._stack[-1], self._keys[-1]
        if isinstance(parent, SequenceNode):
            return (len(parent.items),)
        return () if key is None else (key.text,)

    def _events(self) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(self._document, Loader=yaml.CSafeLoader)
        except yaml.MarkedYAMLError as error:
            at = self._index(error.problem_mark or error.context_mark)
            begun = self._index(error.context_mark or error.problem_mark)
            stumble = Stumble(what=error.problem or "", context=error.context or "", at=at, begun=begun)
            found = said(self._text[: self._end], stumble)
            raise _UnreadableError(self._lines.mark(found.at), found.message, found.remedy) from None
        except yaml.YAMLError:
            raise _UnreadableError(_START, "this can't be read as YAML", "save it as plain UTF-8 text") from None

    def _index(self, mark: _LibyamlMark | None) -> int:
        return 0 if mark is None else min(max(0, self._shift + mark.index), self._end)

    def _mark(self, mark: _LibyamlMark | None) -> Mark:
        return _START if mark is None else self._lines.mark(self._index(mark))
