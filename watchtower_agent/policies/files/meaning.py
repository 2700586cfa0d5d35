"""One policy's keys, taken together: checked, compiled, or told what is wrong with them."""

from __future__ import annotations

import hashlib
from typing import Final

from watchtower_agent.model.decision import Number, Verb
from watchtower_agent.policies.files.document import (
    KillKeys,
    NotifyKeys,
    PolicyKeys,
    StopKeys,
    ThenKeys,
)
from watchtower_agent.policies.files.engine_meaning import EngineMeaning
from watchtower_agent.policies.files.findings import Findings
from watchtower_agent.policies.files.guard_meaning import GuardMeaning
from watchtower_agent.policies.files.prune_meaning import PruneMeaning
from watchtower_agent.policies.files.selector_meaning import selector_of, tell_of_nothing
from watchtower_agent.policies.files.strategy_meaning import StrategyMeaning
from watchtower_agent.policies.files.subject_meaning import SubjectMeaning
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
    Then,
    Trigger,
)
from watchtower_agent.policies.problem import Finding, Path, meant
from watchtower_agent.policies.selector import Selector
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.policies.times.moments import Schedule

_KEYS: Final = frozenset(info.alias or name for name, info in PolicyKeys.model_fields.items())
_VERBS: Final = tuple(verb for verb in Verb if verb in ThenKeys.model_fields and verb is not Verb.NOTIFY)
_OUTLINE: Final = frozenset({"name", "mode", "select", "target", "depends", "then"})
_UNTOLD: Final = OnTrigger(events=frozenset(), where=None)
_OF_ITS_SUBSTANCE: Final = frozenset({"select", "when", "hold", "keep_for", "on", "where", "then"})


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
        self._root = root
        self._read: Policy | None = None
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
        guards = GuardMeaning(self._keys, self._given, self._gathered)
        trigger: Trigger | None
        then: Then | None
        prune, keys = None, self._keys
        cooldown, budget = keys.cooldown, keys.budget.value() if keys.budget else Budget()
        if strategies.meant:
            trigger = strategies.strategy()
            then = Then(verb=Verb.RESIZE if isinstance(trigger, ResizeStrategy) else Verb.SCALE)
            guards.permission(then)
        elif prunes.meant:
            trigger = prunes.trigger()
            prune, then = prunes.prune(), Then(verb=Verb.PRUNE)
            cooldown, budget = prunes.cooldown, prunes.budget()
            guards.permission(None)
        else:
            strategies.misplaced_target()
            triggers = TriggerMeaning(self._keys, self._given, self._gathered)
            trigger, then = triggers.trigger(), self._then()
            if then is not None and then.verb is Verb.RESTART_ENGINE:
                restarts = EngineMeaning(keys, self._given, self._gathered)
                restarts.together(triggers)
                budget = restarts.budget()
            else:
                SubjectMeaning(keys, self._given, self._gathered).together(triggers, then)
                guards.dependencies(then)
            guards.pace(then)
            guards.permission(then)
        if then is None:
            return None
        self._read = Policy(
            name=keys.name,
            description=keys.description,
            mode=keys.mode,
            selector=selector,
            trigger=_UNTOLD if trigger is None else trigger,
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
        return None if self.findings or self._broken or trigger is None else self._read

    def outline(self) -> Policy | None:
        """Of a policy with mistakes what is certain: whom it acts on, what it does to them, and for whom it waits.

        Returns:
            What is never in force, and can be held against other policies; None where one of these is not certain.
        """
        wrong = self._broken | {str(each.path[len(self._root)]) for each in self.findings if each.path != self._root}
        return None if self._read is None or wrong & _OUTLINE else self._read

    def _given(self, key: str) -> bool:
        return key in self._broken or ("hold" if key == "for" else key) in self._keys.model_fields_set

    def _selector(self) -> Selector | None:
        select = self._keys.select
        if select is None:
            return None
        if "select" not in self._broken:
            tell_of_nothing(select, ("select",), self._gathered)
        return selector_of(select)

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


def _digest(keys: PolicyKeys) -> str:
    substance = keys.model_dump_json(include=set(_OF_ITS_SUBSTANCE))
    return hashlib.sha256(substance.encode(errors="surrogatepass")).hexdigest()[:16]


def _parameters(keys: object) -> dict[str, Number]:
    if isinstance(keys, StopKeys) and keys.stop_timeout is not None:
        return {"stop_timeout": keys.stop_timeout}
    if isinstance(keys, KillKeys) and keys.signal is not None:
        return {"signal": keys.signal}
    return {}


def _notify(keys: NotifyKeys | None) -> Notify | None:
    return None if keys is None else Notify(severity=keys.severity, message=keys.message)
