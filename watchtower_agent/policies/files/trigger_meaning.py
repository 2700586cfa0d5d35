"""What sets one policy off: `when`, `on` or `schedule`, compiled, or told what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.policies.catalogue import ACTIONS, ANY_ACTION, LABELS
from watchtower_agent.policies.conditions.condition import Condition, ConditionProblem, ConditionScope, parse_condition
from watchtower_agent.policies.conditions.tree import Label, references
from watchtower_agent.policies.files.document import PolicyKeys
from watchtower_agent.policies.files.findings import Findings
from watchtower_agent.policies.policy import OnTrigger, ScheduleTrigger, Trigger, WhenTrigger
from watchtower_agent.policies.problem import Path, did_you_mean, meant, shown
from watchtower_agent.policies.times.moments import Schedule

TRIGGERS: Final = ("when", "on", "schedule")
_KINDS: Final = {str(each): each for each in ACTIONS}


class Asked(NamedTuple):
    """What a condition's text asks.

    Attributes:
        condition: Compiled; None when there are findings.
        names: What it is about, known of one with mistakes, too: names of the catalogue, and `labels`.
    """

    condition: Condition | None = None
    names: frozenset[str] = frozenset()


def condition_at(path: Path, text: str, scope: ConditionScope, findings: Findings) -> Asked:
    """A condition as it is written.

    Args:
        path: Where in the policy it stands.
        text: What is written.
        scope: Which names it can use.
        findings: Where mistakes go.
    """
    try:
        condition = parse_condition(text, scope)
    except ConditionProblem as first:
        for problem in (first, *first.also):
            findings.find(path, problem.message, problem.remedy, offset=problem.offset)
            # Its frames hold the whole file in cycles: of 20,000 problems they are 20 MiB until a full collection.
            problem.__traceback__ = problem.__context__ = None
        return Asked(names=first.names)
    labels = {LABELS for reference in references(condition.tree) if isinstance(reference, Label)}
    return Asked(condition, condition.names | labels)


class TriggerMeaning:
    """Finds out what sets one policy off.

    Attributes:
        when: What `when` asks.
        where: What `where` asks.
        kinds: Of the events under `on`, those that are most likely meant among them.
    """

    def __init__(
        self,
        keys: PolicyKeys,
        given: Callable[[str], bool],
        findings: Findings,
        *,
        scope: ConditionScope = ConditionScope.WHEN,
        missing: str = "add when: CONDITION, on: {container: die}, or schedule: {cron: …, timezone: …}",
    ) -> None:
        """Look at a policy's trigger.

        Args:
            keys: The policy's keys, without those that are broken.
            given: Whether a key is written, broken or not.
            findings: Where mistakes go.
            scope: Which names `when` can use.
            missing: The remedy where there is none.
        """
        self._keys = keys
        self._given = given
        self._findings = findings
        self._missing = missing
        self.when = self._asked("when", keys.when, scope)
        self.where = self._asked("where", keys.where, ConditionScope.WHERE)
        written = set(keys.on or ()) | findings.broken_below("on")
        self.kinds = frozenset(EventKind(kind) for kind in map(_kind_meant, written) if kind)

    def trigger(self) -> Trigger | None:
        """What it is, or None when there are findings."""
        keys = self._keys
        given = [key for key in TRIGGERS if self._given(key)]
        if len(given) > 1:
            message = f"a policy has one trigger, and this has {given[0]} and {given[1]}"
            self._findings.find((given[1],), message, "make two policies of it", at_key=True)
        elif not given:
            self._findings.find((), "the policy has no trigger", self._missing)
        for key in ("for", "keep_for"):
            if self._given(key) and not self._given("when"):
                instead = next(iter(given), "on")
                remedy = f"remove it, or use when instead of {instead}"
                self._findings.find((key,), f"{key} belongs to when", remedy, at_key=True)
        if self._given("where") and not self._given("on"):
            remedy = "remove it" if given == ["schedule"] else "put the condition into when"
            self._findings.find(("where",), "where belongs to on", remedy, at_key=True)
        events = self._events()
        if self.when.condition is not None:
            return WhenTrigger(condition=self.when.condition, hold=keys.hold or 0.0, keep=keys.keep_for or 0.0)
        if keys.schedule is not None:
            return ScheduleTrigger(schedule=Schedule(keys.schedule.cron, keys.schedule.timezone))
        return OnTrigger(events=events, where=self.where.condition) if events else None

    def _asked(self, key: str, text: str | None, scope: ConditionScope) -> Asked:
        return Asked() if text is None else condition_at((key,), text, scope, self._findings)

    def _events(self) -> frozenset[tuple[EventKind, str]]:
        on = self._keys.on
        if on is None:
            return frozenset()
        if not on and self._findings.intact("on"):
            self._findings.find(("on",), "no event is named", "write it like {container: die}")
        return frozenset(pair for kind, actions in on.items() for pair in self._events_of(kind, actions))

    def _events_of(self, kind: str, actions: list[str]) -> Iterable[tuple[EventKind, str]]:
        if kind not in _KINDS:
            if kind == EventKind.ACTION:
                message = "the agent's own actions are no trigger"
            else:
                message = f"no events are of the kind {shown(kind)}"
            self._findings.find(("on", kind), message, did_you_mean(kind, _KINDS), at_key=True)
            return
        for index, action in enumerate(actions):
            if action == ANY_ACTION or action in ACTIONS[_KINDS[kind]]:
                yield _KINDS[kind], action
                continue
            bare = action.partition(":")[0]
            remedy = did_you_mean(action, sorted(ACTIONS[_KINDS[kind]]))
            if bare == "health_status":
                remedy = 'write health_status, and where: health == "unhealthy"'
            self._findings.find(("on", kind, index), f"{kind} has no event {shown(action)}", remedy)


def _kind_meant(written: str) -> str | None:
    return written if written in _KINDS else meant(written, _KINDS)
