"""Which containers would wait for each other, by Compose, by networks and by what policies depend on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import field
from typing import Final

from watchtower_agent.model.decision import Mode
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.policy import Policy
from watchtower_agent.state.dependencies import Dependencies
from watchtower_agent.state.record import ContainerRecord

_ACTING: Final = frozenset({Mode.ENFORCE, Mode.APPROVE})

_Node = str | tuple[str, bool]
"""A container by id, or a policy: whether its targets that it depends on itself are meant, or the others."""


@dataclass(slots=True)
class Circles:
    """Those of one moment. Worked out when first asked, and only where a policy depends on something.

    Attributes:
        dependencies: What containers need by themselves.
        containers: By id.
        policies: Those in force.
    """

    dependencies: Dependencies = field(default_factory=lambda: Dependencies({}))
    containers: Mapping[str, ContainerRecord] = field(default_factory=dict)
    policies: Sequence[Policy] = ()
    _circle: dict[str, int] = field(default_factory=dict)
    """Id -> number of its circle, once worked out."""
    _members: dict[int, set[str]] | None = None

    def of(self, container_id: str) -> AbstractSet[str]:
        """Ids of those that need a container and that it needs, be it through others: none waits for another."""
        if self._members is None:
            self._members = {}
            for node, number in self._found().items():
                if isinstance(node, str):
                    self._circle[node] = number
                    self._members.setdefault(number, set()).add(node)
        return self._members[self._circle[container_id]] if container_id in self._circle else frozenset()

    def _found(self) -> dict[_Node, int]:
        acting = [
            each
            for each in self.policies
            if each.depends and each.mode in _ACTING and each.then.verb is not None and each.selector is not None
        ]
        if not acting:
            return {}  # what needs each other without policies is no need at all
        edges: dict[_Node, list[_Node]] = {each: [*self.dependencies.direct(each)] for each in self.containers}
        for policy in acting:
            selector = policy.selector
            assert selector is not None
            targets = {each for each, record in self.containers.items() if selector.matches(record.container)}
            picked = self.dependencies.picked(policy.name, policy.picks_needs, policy.selects).needs
            # Two targets of one policy do not wait for each other.
            edges[policy.name, True] = [each for each in picked if each not in targets]
            edges[policy.name, False] = list(picked)
            for each in targets:
                edges[each].append((policy.name, each in picked))
        return strongly_connected(edges)


def strongly_connected(edges: Mapping[_Node, Sequence[_Node]]) -> dict[_Node, int]:
    """Node -> number of its circle; each that is in none has a number of its own. Kosaraju's way, without recursion.

    Args:
        edges: From each node to those that it leads to; what leads nowhere may be left out.
    """
    backwards: dict[_Node, list[_Node]] = {}
    for node, following in edges.items():
        for each in following:
            backwards.setdefault(each, []).append(node)
    circle: dict[_Node, int] = {}
    for begin in reversed(_as_left(edges)):
        if begin in circle:
            continue
        number = circle[begin] = len(circle)
        waiting = [begin]
        for one in waiting:
            new = [each for each in dict.fromkeys(backwards.get(one, ())) if each not in circle]
            circle |= dict.fromkeys(new, number)
            waiting.extend(new)
    return circle


def _as_left(edges: Mapping[_Node, Sequence[_Node]]) -> list[_Node]:
    """All nodes in the order in which a walk along the edges leaves them for good."""
    left: list[_Node] = []
    seen: set[_Node] = set()
    for begin in edges:
        stack: list[tuple[_Node, Iterator[_Node]]] = []
        following = iter([begin])
        while True:
            node = next((each for each in following if each not in seen), None)
            if node is not None:
                seen.add(node)
                stack.append((node, following))
                following = iter(edges.get(node, ()))
            elif stack:
                node, following = stack.pop()
                left.append(node)
            else:
                break
    return left
