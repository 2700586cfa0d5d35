"""Whom one policy is about: whether its selector, its trigger and its action are about the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.policies.catalogue import CATALOGUE, LABELS, Scope
from watchtower_agent.policies.files.part import PolicyPart
from watchtower_agent.policies.files.trigger_meaning import TriggerMeaning
from watchtower_agent.policies.policy import Then

_EVERY_CONTAINER: Final = 'add select: {name: "*"} to mean every container, or a narrower one'


class SubjectMeaning(PolicyPart):
    """Finds out whom one policy is about."""

    def together(self, trigger: TriggerMeaning, then: Then | None) -> None:
        """What select, trigger and action must have to do with each other.

        Args:
            trigger: Whatever is understood of it: a mistake in a condition hides nothing that is certain.
            then: What the policy does, None where that is not known.
        """
        selected = self._given("select") or self._given("target")
        if self._given("when") and not selected and _of_container(trigger.when.names):
            message = "the condition is about containers, and none are selected"
            self._findings.find(("when",), message, _EVERY_CONTAINER)
        elif self._given("on") and not self._given("when") and not self._given("schedule"):
            self._event_policy(trigger, then, selected=selected)
        elif not selected:
            self._needs_containers(then)

    def _needs_containers(self, then: Then | None) -> None:
        if then is not None and then.verb is not None:
            message = f"{then.verb} needs containers to act on"
            self._findings.find(("then", then.verb), message, _EVERY_CONTAINER, at_key=True)

    def _event_policy(self, trigger: TriggerMeaning, then: Then | None, *, selected: bool) -> None:
        others = sorted(map(str, trigger.kinds - {EventKind.CONTAINER}))
        if others and selected:
            self._findings.find(
                ("select",),
                f"{others[0]} events are not about a container",
                f"leave select out, or make a policy of its own for {others[0]} events",
                at_key=True,
            )
        elif others and then is not None and then.verb is not None:
            self._findings.find(
                ("then", then.verb),
                f"{others[0]} events have no container to {then.verb}",
                "use notify, or a when with select",
                at_key=True,
            )
        elif trigger.kinds and not others and not selected:
            self._needs_containers(then)
        if others and EventKind.CONTAINER not in trigger.kinds and _of_container(trigger.where.names):
            self._findings.find(
                ("where",), f"{others[0]} events are not about a container", "use names that begin with event. only"
            )


def _of_container(names: Iterable[str]) -> bool:
    return any(name == LABELS or (name in CATALOGUE and CATALOGUE[name].scope is Scope.CONTAINER) for name in names)
