"""What a YAML file has: its values, each with its place. Pure."""

from __future__ import annotations

from dataclasses import field
from typing import Final

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.files.text_place import position_inside
from watchtower_agent.policies.problem import Path

NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
"""How it is written that there is no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in the text; line and column count from 1, index from 0 in characters."""

    line: int
    column: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNode:
    """A text, number, boolean or null; `quoted` when written in quotes or as a block."""

    mark: Mark
    text: str
    quoted: bool

    @property
    def null(self) -> bool:
        """Whether it says that there is no value."""
        return not self.quoted and self.text in NULLS


@dataclass(slots=True, kw_only=True)
class SequenceNode:
    """A list."""

    mark: Mark
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class MappingNode:
    """A mapping. Keys are text, as written."""

    mark: Mark
    keys: dict[str, ScalarNode] = field(default_factory=dict)
    values: dict[str, Node] = field(default_factory=dict)


Node = ScalarNode | SequenceNode | MappingNode


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlText:
    """A file that could be read: its text and its nodes."""

    text: str
    root: Node

    def node(self, path: Path) -> Node:
        """The deepest node that exists on the way of the path."""
        return self._walk(path)[0]

    def written(self, path: Path) -> Path:
        """The path without indexes into what is no list, and keys of what is a text: one value may stand for more."""
        return tuple(
            step
            for index, step in enumerate(path)
            if isinstance(self.node(path[:index]), MappingNode if isinstance(step, str) else SequenceNode)
        )

    def place(self, path: Path, *, at_key: bool = False, offset: int = 0) -> tuple[int, int]:
        """Line and column of a value, or of its key, or of a character inside its text.

        Steps that are not written (a missing key, an index into a single value) are left out.
        """
        node, key, complete = self._walk(path)
        if at_key and key is not None and complete:
            return key.mark.line, key.mark.column
        if isinstance(node, ScalarNode) and (offset or self._is_block(node)):
            return position_inside(self.text, node.mark.index, node.text, offset)
        return node.mark.line, node.mark.column

    def _is_block(self, node: ScalarNode) -> bool:
        """Whether its text begins on another line than the value does, behind | or >."""
        return self.text[node.mark.index : node.mark.index + 1] in {"|", ">"} and bool(node.text.strip())

    def _walk(self, path: Path) -> tuple[Node, ScalarNode | None, bool]:
        node: Node = self.root
        key: ScalarNode | None = None
        for step in path:
            if isinstance(node, MappingNode):
                if step not in node.values:
                    return node, key, False
                key, node = node.keys[str(step)], node.values[str(step)]
            elif isinstance(node, SequenceNode):
                if not isinstance(step, int) or step >= len(node.items):
                    return node, key, False
                node = node.items[step]
            elif isinstance(step, str):
                return node, key, False
        return node, key, True
