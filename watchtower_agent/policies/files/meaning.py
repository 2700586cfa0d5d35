"""One policy's keys, taken together: checked, compiled, or told what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from watchtower_agent.model.decision import Number, Verb
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.policies.catalogue import ACTIONS, ANY_ACTION, CATALOGUE, Scope
from watchtower_agent.policies.conditions.condition import Condition, ConditionProblem, ConditionScope, parse_condition
from watchtower_agent.policies.conditions.tree import Label, references
from watchtower_agent.policies.files.document import (
    KillKeys,
    NotifyKeys,
    PolicyKeys,
    SelectKeys,
    StopKeys,
)
from watchtower_agent.policies.policy import (
    Backoff,
    Budget,
    MaintenanceWindow,
    Notify,
    OnTrigger,
    Place,
    Policy,
    ScheduleTrigger,
    Then,
    Trigger,
    WhenTrigger,
)
from watchtower_agent.policies.problem import Finding, Path, did_you_mean, meant, shown
from watchtower_agent.policies.selector import Patterns, Selector
from watchtower_agent.policies.times.moments import Schedule

_KEYS: Final = frozenset(info.alias or name for name, info in PolicyKeys.model_fields.items())
_TRIGGERS: Final = ("when", "on", "schedule")
_VERBS: Final = tuple(verb for verb in Verb if verb is not Verb.NOTIFY)
_BRINGS_BACK: Final = frozenset({Verb.RESTART, Verb.START})
_EVERY_CONTAINER: Final = 'add select: {name: "*"} to mean every container, or a narrower one'


class Meaning:
    """Finds out what one policy means.

    Attributes:
        findings: What is wrong with it.
    """

    def __init__(self, keys: PolicyKeys, root: Path, broken: frozenset[str]) -> None:
        """Take a policy apart.

        Args:
            keys: Its keys, without those that are broken.
            root: Its path in the file.
            broken: Keys that are written, but wrong in themselves: they count as given, no more is said of them.
        """
        self.findings: list[Finding] = []
        self._keys = keys
        self._root = root
        # What an unknown key most likely stands for is not missing on top of that.
        self._broken = broken | {meant(key, _KEYS) or key for key in broken - _KEYS}

    def policy(self, place: Place) -> Policy | None:
        """The policy, or None when there are findings."""
        selector = self._selector()
        trigger = self._trigger()
        then = self._then()
        self._together(trigger, then)
        if self.findings or self._broken or trigger is None or then is None:
            return None
        keys = self._keys
        return Policy(
            name=keys.name,
            description=keys.description,
            mode=keys.mode,
            selector=selector,
            trigger=trigger,
            then=then,
            windows=tuple(
                MaintenanceWindow(opens=Schedule(each.cron, each.timezone), open_for=each.open_for)
                for each in keys.windows or ()
            ),
            cooldown=keys.cooldown,
            backoff=keys.backoff.value() if keys.backoff else Backoff(),
            budget=keys.budget.value() if keys.budget else Budget(),
            restart_stopped=keys.restart_stopped,
            place=place,
        )

    def _given(self, key: str) -> bool:
        return key in self._broken or getattr(self._keys, "hold" if key == "for" else key) is not None

    def _find(self, path: Path, message: str, remedy: str, *, at_key: bool = False, offset: int = 0) -> None:
        self.findings.append(
            Finding(path=self._root + path, message=message, remedy=remedy, at_key=at_key, offset=offset)
        )

    def _selector(self) -> Selector | None:
        select = self._keys.select
        if select is None:
            return None
        if "select" not in self._broken:
            self._empty_selects(select, ("select",))
        return selector_of(select)

    def _empty_selects(self, select: SelectKeys, path: Path) -> None:
        if not select.model_fields_set:
            instead = "name what is left out, or remove not"
            remedy = instead if path[-1] == "not" else 'write {name: "*"} to mean every container'
            self._find(path, "this selects by nothing", remedy)
        if select.labels is not None and not select.labels:
            self._find((*path, "labels"), "no label is named", 'write them like {autoheal: "true"}')
        if select.compose is not None and not select.compose.model_fields_set:
            self._find(
                (*path, "compose"), "neither project nor service is named", "write {project: shop, service: web}"
            )
        if select.exclude is not None:
            self._empty_selects(select.exclude, (*path, "not"))

    def _trigger(self) -> Trigger | None:
        keys = self._keys
        given = [key for key in _TRIGGERS if self._given(key)]
        if len(given) > 1:
            message = f"a policy has one trigger, and this has {given[0]} and {given[1]}"
            self._find((given[1],), message, "make two policies of it", at_key=True)
        elif not given:
            remedy = "add when: CONDITION, on: {container: die}, or schedule: {cron: …, timezone: …}"
            self._find((), "the policy has no trigger", remedy)
        for key in ("for", "keep_for"):
            if self._given(key) and not self._given("when"):
                instead = next(iter(given), "on")
                remedy = f"remove it, or use when instead of {instead}"
                self._find((key,), f"{key} belongs to when", remedy, at_key=True)
        if self._given("where") and not self._given("on"):
            remedy = "remove it" if given == ["schedule"] else "put the condition into when"
            self._find(("where",), "where belongs to on", remedy, at_key=True)
        condition = self._condition("when", keys.when, ConditionScope.WHEN)
        where = self._condition("where", keys.where, ConditionScope.WHERE)
        events = self._events()
        if condition is not None:
            return WhenTrigger(condition=condition, hold=keys.hold or 0.0, keep=keys.keep_for or 0.0)
        if keys.schedule is not None:
            return ScheduleTrigger(schedule=Schedule(keys.schedule.cron, keys.schedule.timezone))
        return OnTrigger(events=events, where=where) if events else None

    def _condition(self, key: str, text: str | None, scope: ConditionScope) -> Condition | None:
        if text is None:
            return None
        try:
            return parse_condition(text, scope)
        except ConditionProblem as first:
            for problem in (first, *first.also):
                self._find((key,), problem.message, problem.remedy, offset=problem.offset)
                # Its frames hold the whole file in cycles: of 20,000 problems they are 20 MiB until a full collection.
                problem.__traceback__ = problem.__context__ = None
            return None

    def _events(self) -> frozenset[tuple[EventKind, str]]:
        on = self._keys.on
        if on is None:
            return frozenset()
        if not on and "on" not in self._broken:
            self._find(("on",), "no event is named", "write it like {container: die}")
        return frozenset(pair for kind, actions in on.items() for pair in self._events_of(kind, actions))

    def _events_of(self, kind: str, actions: list[str]) -> Iterable[tuple[EventKind, str]]:
        known = {str(each): each for each in ACTIONS}
        if kind not in known:
            if kind == EventKind.ACTION:
                message = "the agent's own actions are no trigger"
            else:
                message = f"no events are of the kind {shown(kind)}"
            self._find(("on", kind), message, did_you_mean(kind, known), at_key=True)
            return
        for index, action in enumerate(actions):
            if action == ANY_ACTION or action in ACTIONS[known[kind]]:
                yield known[kind], action
                continue
            bare = action.partition(":")[0]
            remedy = did_you_mean(action, sorted(ACTIONS[known[kind]]))
            if bare == "health_status":
                remedy = 'write health_status, and where: health == "unhealthy"'
            self._find(("on", kind, index), f"{kind} has no event {shown(action)}", remedy)

    def _then(self) -> Then | None:
        then = self._keys.then
        if then is None:
            if "then" not in self._broken:
                self._find((), "the policy does nothing", "add then: {restart: {}}, or then: {notify: {}}")
            return None
        verbs = [verb for verb in _VERBS if getattr(then, verb) is not None]
        if len(verbs) > 1:
            self._find(
                ("then", verbs[1]),
                f"{verbs[0]} and {verbs[1]} are two actions",
                "keep one, and make a second policy for the other",
                at_key=True,
            )
        if not verbs and then.notify is None:
            if "then" not in self._broken:
                self._find(("then",), "no action is named", f"name one of {', '.join(Verb)}")
            return None
        verb = verbs[0] if verbs else None
        return Then(
            verb=verb,
            parameters=_parameters(getattr(then, verb)) if verb else {},
            notify=_notify(then.notify),
        )

    def _together(self, trigger: Trigger | None, then: Then | None) -> None:
        """What select, trigger and action must have to do with each other."""
        selected = self._given("select")
        if isinstance(trigger, WhenTrigger):
            if not selected and _of_container(trigger.condition):
                self._find(("when",), "the condition is about containers, and none are selected", _EVERY_CONTAINER)
            elif not selected:
                self._needs_containers(then)
        if isinstance(trigger, ScheduleTrigger) and not selected:
            self._needs_containers(then)
        if isinstance(trigger, OnTrigger):
            self._event_policy(trigger, then, selected=selected)
        self._windows(then)
        self._pacing(then)

    def _needs_containers(self, then: Then | None) -> None:
        if then is not None and then.verb is not None:
            self._find(("then", then.verb), f"{then.verb} needs containers to act on", _EVERY_CONTAINER, at_key=True)

    def _windows(self, then: Then | None) -> None:
        windows = self._keys.windows
        if windows is not None and not windows and "windows" not in self._broken:
            self._find(("windows",), "no window is named", "name one, or leave windows out to act at any time")
        if self._given("windows") and then is not None and then.verb is None:
            message = "windows hold actions back, and this policy only notifies"
            self._find(("windows",), message, "leave them out: notifications are told at any time", at_key=True)

    def _pacing(self, then: Then | None) -> None:
        if then is None:
            return
        if self._given("backoff") and then.verb not in _BRINGS_BACK:
            does = f"does a {then.verb}" if then.verb is not None else "only notifies"
            message = f"backoff is for restart and start, and this policy {does}"
            self._find(("backoff",), message, "leave it out, or use cooldown", at_key=True)
        if self._given("budget") and then.verb is None:
            message = "a budget is for actions, and this policy only notifies"
            self._find(("budget",), message, "leave it out, or use cooldown", at_key=True)
        backoff = self._keys.backoff
        if backoff is not None and "backoff" not in self._broken and backoff.longest < backoff.initial:
            self._find(("backoff", "max"), "max is less than initial", "write a max that is at least initial")

    def _event_policy(self, trigger: OnTrigger, then: Then | None, *, selected: bool) -> None:
        others = sorted({str(kind) for kind, _ in trigger.events} - {EventKind.CONTAINER})
        if others and selected:
            self._find(
                ("select",),
                f"{others[0]} events are not about a container",
                f"leave select out, or make a policy of its own for {others[0]} events",
                at_key=True,
            )
        elif others and then is not None and then.verb is not None:
            self._find(
                ("then", then.verb),
                f"{others[0]} events have no container to {then.verb}",
                "use notify, or a when with select",
                at_key=True,
            )
        elif not others and not selected:
            self._needs_containers(then)
        only_others = all(kind is not EventKind.CONTAINER for kind, _ in trigger.events)
        if only_others and trigger.where is not None and _of_container(trigger.where):
            self._find(
                ("where",), f"{others[0]} events are not about a container", "use names that begin with event. only"
            )


def selector_of(select: SelectKeys) -> Selector:
    """The compiled selector."""
    compose = select.compose
    return Selector(
        names=_patterns(select.name),
        images=_patterns(select.image),
        labels={key: Patterns(tuple(values)) for key, values in (select.labels or {}).items()},
        compose_project=_patterns(compose.project) if compose else None,
        compose_service=_patterns(compose.service) if compose else None,
        swarm_service=_patterns(select.swarm_service),
        networks=_patterns(select.networks),
        statuses=frozenset(select.status or ()),
        exclude=selector_of(select.exclude) if select.exclude else None,
    )


def _patterns(texts: list[str] | None) -> Patterns | None:
    return None if texts is None else Patterns(tuple(texts))


def _parameters(keys: object) -> dict[str, Number]:
    if isinstance(keys, StopKeys) and keys.stop_timeout is not None:
        return {"stop_timeout": keys.stop_timeout}
    if isinstance(keys, KillKeys) and keys.signal is not None:
        return {"signal": keys.signal}
    return {}


def _notify(keys: NotifyKeys | None) -> Notify | None:
    return None if keys is None else Notify(severity=keys.severity, message=keys.message)


def _of_container(condition: Condition) -> bool:
    return any(CATALOGUE[name].scope is Scope.CONTAINER for name in condition.names) or any(
        isinstance(reference, Label) for reference in references(condition.tree)
    )
