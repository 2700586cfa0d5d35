"""What was decided and done since the agent started, counted for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from watchtower_agent.model.decision import Decision, Dropped, Held, Verb
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.outcome import Intent, Outcome

MOST_POLICIES: Final = 1000
"""Names of policies that are counted one by one. Whoever writes files with other names all day fills no memory."""
OTHERS: Final = "(others)"

WANTED, PASSED, HELD, REFUSED, DROPPED = "wanted", "passed", "held", "refused", "dropped"
"""A decision was made; all guards let it pass; one holds it for now; one will never let it pass; it was given up."""


class Counts:
    """Counts of facts. They begin at 0 with the agent."""

    def __init__(self) -> None:
        self._decisions: Counter[tuple[str, ...]] = Counter()
        self._actions: Counter[tuple[str, ...]] = Counter()
        self._policies: set[str] = set()

    @property
    def decisions(self) -> Mapping[tuple[str, ...], int]:
        """By policy and what the guards said. One that is held is counted again when something else holds it."""
        return self._decisions

    @property
    def actions(self) -> Mapping[tuple[str, ...], int]:
        """By verb and how it ended."""
        return self._actions

    def told(self, facts: Iterable[Fact]) -> None:
        """Count what happened."""
        for fact in facts:
            match fact:
                case Decision():
                    self._decided(fact, WANTED)
                case Held():
                    self._decided(fact.decision, REFUSED if fact.final else HELD)
                case Dropped():
                    self._decided(fact.decision, DROPPED)
                case Intent():
                    self._decided(fact.decision, PASSED)
                case Outcome():
                    if fact.decision.verb is Verb.NOTIFY:  # intent and outcome in one, and never a decision of its own
                        self._decided(fact.decision, PASSED)
                    self._actions[fact.decision.verb.value, fact.result.value] += 1

    def _decided(self, decision: Decision, verdict: str) -> None:
        policy = decision.policy
        if policy not in self._policies:
            if len(self._policies) >= MOST_POLICIES:
                policy = OTHERS
            self._policies.add(policy)
        self._decisions[policy, verdict] += 1
