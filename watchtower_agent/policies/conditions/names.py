"""Names of the catalogue, labels and attributes in a condition: which may stand there, and which is meant."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from lark import Token, Tree as ParseTree

from watchtower_agent.policies.catalogue import ATTRIBUTES, CATALOGUE, LABELS, Entry, Scope, ValueType
from watchtower_agent.policies.conditions.passage import Passage
from watchtower_agent.policies.conditions.tree import Attribute, Label, Name, Reference, quoted
from watchtower_agent.policies.conditions.words import meant, unquoted
from watchtower_agent.policies.problem import nearest, one_of, shown


class ConditionScope(Enum):
    """Which names a condition can use."""

    WHEN = "when"
    """Of the container, its host and its engine."""
    WHERE = "where"
    """Of the event and its container."""
    HOST = "host"
    """Of the host and its engine: for what is about no container."""
    DISK = "disk"
    """Of the engine's disk, as it is measured at that moment: without a past."""


_SCOPES: Final = {
    ConditionScope.WHEN: frozenset({Scope.CONTAINER, Scope.HOST, Scope.ENGINE}),
    ConditionScope.WHERE: frozenset({Scope.EVENT, Scope.CONTAINER}),
    ConditionScope.HOST: frozenset({Scope.HOST, Scope.ENGINE}),
    ConditionScope.DISK: frozenset({Scope.HOST}),
}
_NAMES: Final = {
    scope: tuple(
        name
        for name, entry in CATALOGUE.items()
        if entry.scope in scopes and (entry.of_disk or scope is not ConditionScope.DISK)
    )
    for scope, scopes in _SCOPES.items()
}
_INSTEAD: Final = {
    ConditionScope.WHEN: "use it in where, beside on",
    ConditionScope.WHERE: "use it in when; where takes names of the event and its container",
    ConditionScope.HOST: "use names that begin with host. or engine.",
    ConditionScope.DISK: f"{one_of(_NAMES[ConditionScope.DISK])}",
}
"""What is right in place of a name that is known elsewhere."""
_OF_SERVICES: Final = "replicas."
"""How the names of what a decision about a service goes by begin: its events carry them (ADR 52)."""
_ABOUT: Final = {
    ConditionScope.WHEN: "containers, their host and its engine",
    ConditionScope.WHERE: "an event and its container",
    ConditionScope.HOST: "the host and its engine",
    ConditionScope.DISK: "the engine's disk",
}
_OF_CONTAINERS: Final = frozenset({ConditionScope.WHEN, ConditionScope.WHERE})
_WORDS: Final = {word: name for name in ("status", "health") for word in CATALOGUE[name].values}
"""What is written alone, or to the left of a sign, by who means what a container is."""
_TEXTS: Final = frozenset({ValueType.TEXT, ValueType.ENUM})


class Named(NamedTuple):
    """A name, and what the catalogue says of it."""

    reference: Reference
    entry: Entry


class Names:
    """Reads the names of one condition.

    Args:
        passage: The condition's text.
        scope: Which names it can use.
    """

    def __init__(self, passage: Passage, scope: ConditionScope) -> None:
        self._passage = passage
        self._scope = scope
        self._names = _NAMES[scope]

    @staticmethod
    def known(node: ParseTree[Token]) -> bool:
        """Whether it is a name that there is somewhere, or one with a key."""
        return node.data == "entry" or (node.data == "name" and str(node.children[0]) in CATALOGUE)

    def read(self, node: ParseTree[Token], beside: ParseTree[Token] | None = None) -> Named:
        """The name that a node of kind `name` or `entry` is.

        Args:
            node: What is read.
            beside: What it is compared with, where a word stands in the place of a value.

        Raises:
            Senseless: There is none, or it can't be used here.
        """
        if node.data == "entry":
            return self._entry(node, str(node.children[0]), unquoted(str(node.children[1])))
        name = str(node.children[0])
        entry = CATALOGUE.get(name)
        if entry is not None and name in self._names:
            self._passage.mention(name)
            return Named(Name(name), entry)
        if entry is not None:
            self._passage.fail(node, self._misplaced(entry), _INSTEAD[self._scope])
        if beside is not None and self._is_about_text(beside):
            # `health == unhealthy`: say that text is quoted, rather than that there is no such name.
            written = self._passage.of(node)
            self._passage.fail(node, f"{written} is not a name", f"put text in quotes: {quoted(name)}")
        self._keyless(node, name)
        if name.startswith("event.") and self._scope is not ConditionScope.WHERE:
            message = "what begins with event. is known only of an event"
            self._passage.fail(node, message, _INSTEAD[self._scope])
        if name in _WORDS and self._scope in _OF_CONTAINERS:
            self._passage.mention(_WORDS[name])
            self._passage.fail(node, f"unknown name {shown(name)}", f"did you mean {_WORDS[name]} == {quoted(name)}?")
        listed = "watchtower-agent metrics lists all names" if self._scope in _OF_CONTAINERS else _INSTEAD[self._scope]
        if name.startswith(_OF_SERVICES):
            message = f"{name} is about a service, and conditions are about {_ABOUT[self._scope]}"
            self._passage.fail(node, message, "give the service a target and scale, with min and max")
        near = self._meant(name)
        if near:
            self._passage.mention(near)
        return self._passage.fail(node, f"unknown name {shown(name)}", f"did you mean {near}?" if near else listed)

    def _meant(self, name: str) -> str:
        near = meant(name, self._names)
        return near if near in self._names or near not in CATALOGUE else ""

    def _is_about_text(self, node: ParseTree[Token]) -> bool:
        """Whether texts are compared with it, as far as can be told: `helth` is meant to be `health`."""
        if node.data != "name":
            return node.data == "entry"
        name = str(node.children[0])
        entry = CATALOGUE.get(name) or (None if name in _WORDS else CATALOGUE.get(self._meant(name)))
        return entry is not None and entry.type in _TEXTS

    def _keyless(self, node: ParseTree[Token], name: str) -> None:
        """`labels.team`."""
        for container in (LABELS, ATTRIBUTES):
            if name == container or name.startswith(container + "."):
                self._of_a_host(node, container)
                self._passage.mention(container)
                key = name[len(container) + 1 :] or "key"
                self._passage.fail(node, f"{name} needs a key in brackets", f"write {container}[{quoted(key)}]")

    def _misplaced(self, entry: Entry) -> str:
        """Why a name of the catalogue can't stand here."""
        if self._scope is ConditionScope.WHERE:
            return f"{entry.name} is not known of an event"
        if entry.scope is Scope.EVENT:
            return f"{entry.name} is known only of an event"
        if entry.scope is Scope.CONTAINER:
            return f"{entry.name} is about a container, and this is about the host"
        return f"{entry.name} is not measured after each deletion"

    def _of_a_host(self, node: ParseTree[Token], name: str) -> None:
        """A host has neither labels nor attributes."""
        if self._scope not in _OF_CONTAINERS:
            whose = "a container" if name == LABELS else "an event"
            self._passage.fail(node, f"{name} are those of {whose}, and this is about the host", _INSTEAD[self._scope])

    def _entry(self, node: ParseTree[Token], name: str, key: str) -> Named:
        entry = Entry(name=name, type=ValueType.TEXT, unit="", meaning="", scope=Scope.CONTAINER, sampled=False)
        if name in {LABELS, ATTRIBUTES}:
            self._of_a_host(node, name)
        if name == LABELS:
            self._passage.mention(name)
            return Named(Label(key), entry)
        if name == ATTRIBUTES and self._scope is ConditionScope.WHERE:
            return Named(Attribute(key), entry)
        if name == ATTRIBUTES:
            self._passage.fail(node, f"{name} is known only of an event", "use it in where, beside on")
        near = nearest(name, (LABELS, ATTRIBUTES)) if name not in CATALOGUE else None
        if near is not None:
            self._passage.fail(node, f"unknown name {shown(name)}", f"did you mean {near}[{quoted(key)}]?")
        return self._passage.fail(
            node, f"{shown(name)} takes no key in brackets", f'only {LABELS}["k"] and {ATTRIBUTES}["k"] do'
        )
