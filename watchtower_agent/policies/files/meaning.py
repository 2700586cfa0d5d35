"""One policy's keys, taken together: checked, compiled, or told what is wrong with them."""

from __future__ import annotations

import hashlib
from typing import Final

from watchtower_agent.model.decision import Mode, Number, Verb
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.policies.catalogue import CATALOGUE, Scope
from watchtower_agent.policies.conditions.condition import Condition
from watchtower_agent.policies.conditions.tree import Label, references
from watchtower_agent.policies.files.document import (
    KillKeys,
    NotifyKeys,
    PolicyKeys,
    SelectKeys,
    StopKeys,
    ThenKeys,
)
from watchtower_agent.policies.files.engine_meaning import EngineMeaning
from watchtower_agent.policies.files.findings import Findings
from watchtower_agent.policies.files.prune_meaning import PruneMeaning
from watchtower_agent.policies.files.strategy_meaning import StrategyMeaning
from watchtower_agent.policies.files.trigger_meaning import TriggerMeaning
from watchtower_agent.policies.policy import (
    APPROVE_WITHIN,
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
from watchtower_agent.policies.problem import Finding, Path, meant
from watchtower_agent.policies.selector import Patterns, Selector
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.policies.times.moments import Schedule

_KEYS: Final = frozenset(info.alias or name for name, info in PolicyKeys.model_fields.items())
_VERBS: Final = tuple(verb for verb in Verb if verb in ThenKeys.model_fields and verb is not Verb.NOTIFY)
_BRINGS_BACK: Final = frozenset({Verb.RESTART, Verb.START})
_OF_ITS_SUBSTANCE: Final = frozenset({"select", "when", "hold", "keep_for", "on", "where", "then"})
_EVERY_CONTAINER: Final = 'add select: {name: "*"} to mean every container, or a narrower one'


class Meaning:
    """Finds out what one policy means."""

    def __init__(self, keys: PolicyKeys, root: Path, broken: frozenset[Path]) -> None:
        """Take a policy apart.

        Args:
            keys: Its keys, without those that are broken.
            root: Its path in the file.
            broken: Where in it something is written, but wrong in itself: its key counts as given, no more is said.
        """
        self._gathered = Findings(root, broken)
        self._find = self._gathered.find
        self._keys = keys
        # What an unknown key most likely stands for is not missing on top of that.
        names = {str(path[0]) for path in broken if path}
        self._broken = names | {meant(key, _KEYS) or key for key in names - _KEYS}

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with it."""
        return self._gathered.found

    def policy(self, place: Place) -> Policy | None:
        """The policy, or None when there are findings."""
        selector = self._selector()
        strategies = StrategyMeaning(self._keys, self._given, self._gathered)
        prunes = PruneMeaning(self._keys, self._given, self._gathered)
        trigger: Trigger | None
        then: Then | None
        prune, keys = None, self._keys
        cooldown, budget = keys.cooldown, keys.budget.value() if keys.budget else Budget()
        if strategies.meant:
            trigger = strategies.strategy()
            then = Then(verb=Verb.RESIZE if isinstance(trigger, ResizeStrategy) else Verb.SCALE)
            self._permission(then)
        elif prunes.meant:
            trigger = prunes.trigger()
            prune, then = prunes.prune(trigger), Then(verb=Verb.PRUNE)
            cooldown, budget = prunes.cooldown, prunes.budget()
            self._permission(None)
        else:
            strategies.misplaced_target()
            trigger = TriggerMeaning(self._keys, self._given, self._gathered).trigger()
            then = self._then()
            if then is not None and then.verb is Verb.RESTART_ENGINE:
                restarts = EngineMeaning(keys, self._given, self._gathered)
                restarts.together(trigger)
                budget = restarts.budget()
            else:
                self._together(trigger, then)
            self._pacing(then)
            self._permission(then)
        if self.findings or self._broken or trigger is None or then is None:
            return None
        return Policy(
            name=keys.name,
            description=keys.description,
            mode=keys.mode,
            selector=selector,
            trigger=trigger,
            then=then,
            prune=prune,
            windows=tuple(
                MaintenanceWindow(opens=Schedule(each.cron, each.timezone), open_for=each.open_for)
                for each in keys.windows or ()
            ),
            cooldown=cooldown,
            backoff=keys.backoff.value() if keys.backoff else Backoff(),
            budget=budget,
            depends=tuple(map(selector_of, keys.depends or ())),
            restart_stopped=keys.restart_stopped,
            approve_within=keys.approve_within or APPROVE_WITHIN,
            place=place,
            digest=_digest(keys),
        )

    def _given(self, key: str) -> bool:
        return key in self._broken or ("hold" if key == "for" else key) in self._keys.model_fields_set

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
                self._find(("then",), "no action is named", f"name one of {', '.join((*_VERBS, Verb.NOTIFY))}")
            return None
        verb = verbs[0] if verbs else None
        return Then(
            verb=verb,
            parameters=_parameters(getattr(then, verb)) if verb else {},
            notify=_notify(then.notify),
        )

    def _together(self, trigger: Trigger | None, then: Then | None) -> None:
        """What select, trigger and action must have to do with each other."""
        selected = self._given("select") or self._given("target")
        if isinstance(trigger, WhenTrigger):
            if not selected and _of_container(trigger.condition):
                self._find(("when",), "the condition is about containers, and none are selected", _EVERY_CONTAINER)
            elif not selected:
                self._needs_containers(then)
        if isinstance(trigger, ScheduleTrigger) and not selected:
            self._needs_containers(then)
        if isinstance(trigger, OnTrigger):
            self._event_policy(trigger, then, selected=selected)
        self._depends(then)

    def _permission(self, then: Then | None) -> None:
        """What says when it may act, and who has to be asked."""
        self._windows(then)
        self._approval(then)

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

    def _approval(self, then: Then | None) -> None:
        """Whoever writes it means that nothing is done unasked: that must not fail for want of the mode."""
        if not self._given("approve_within"):
            return
        if self._keys.mode is Mode.ENFORCE and "mode" not in self._broken:
            message = "approve_within belongs to mode: approve, and this policy acts without asking"
            self._find(("approve_within",), message, "add mode: approve, or remove it", at_key=True)
        elif then is not None and then.verb is None:
            message = "people are asked about actions, and this policy only notifies"
            self._find(("approve_within",), message, "leave it out: notifications are told unasked", at_key=True)

    def _depends(self, then: Then | None) -> None:
        if "depends" not in self._broken:
            for index, each in enumerate(self._keys.depends or ()):
                self._empty_selects(each, ("depends", index))
        if self._given("depends") and then is not None and then.verb is None:
            message = "depends holds actions back, and this policy only notifies"
            self._find(("depends",), message, "leave it out: notifications are told at any time", at_key=True)

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


def _digest(keys: PolicyKeys) -> str:
    substance = keys.model_dump_json(include=set(_OF_ITS_SUBSTANCE))
    return hashlib.sha256(substance.encode(errors="surrogatepass")).hexdigest()[:16]


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
