"""Whom one policy is about: whether its selector, its trigger and its action are about the same."""

from __future__ import annotations

from typing import Final

from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.policies.catalogue import CATALOGUE, Scope
from watchtower_agent.policies.conditions.condition import Condition
from watchtower_agent.policies.conditions.tree import Label, references
from watchtower_agent.policies.files.part import PolicyPart
from watchtower_agent.policies.policy import OnTrigger, ScheduleTrigger, Then, Trigger, WhenTrigger

_EVERY_CONTAINER: Final = 'add select: {name: "*"} to mean every container, or a narrower one'


class SubjectMeaning(PolicyPart):
    """Finds out whom one policy is about."""

    def together(self, trigger: Trigger | None, then: Then | None) -> None:
        """What select, trigger and action must have to do with each other."""
        selected = self._given("select") or self._given("target")
        if isinstance(trigger, WhenTrigger):
            if not selected and _of_container(trigger.condition):
                self._findings.find(
                    ("when",), "the condition is about containers, and none are selected", _EVERY_CONTAINER
                )
            elif not selected:
                self._needs_containers(then)
        if isinstance(trigger, ScheduleTrigger) and not selected:
            self._needs_containers(then)
        if isinstance(trigger, OnTrigger):
            self._event_policy(trigger, then, selected=selected)

    def _needs_containers(self, then: Then | None) -> None:
        if then is not None and then.verb is not None:
            self._findings.find(
                ("then", then.verb), f"{then.verb} needs containers to act on", _EVERY_CONTAINER, at_key=True
            )

    def _event_policy(self, trigger: OnTrigger, then: Then | None, *, selected: bool) -> None:
        others = sorted({str(kind) for kind, _ in trigger.events} - {EventKind.CONTAINER})
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
        elif not others and not selected:
            self._needs_containers(then)
        only_others = all(kind is not EventKind.CONTAINER for kind, _ in trigger.events)
        if only_others and trigger.where is not None and _of_container(trigger.where):
            self._findings.find(
                ("where",), f"{others[0]} events are not about a container", "use names that begin with event. only"
            )


def _of_container(condition: Condition) -> bool:
    return any(CATALOGUE[name].scope is Scope.CONTAINER for name in condition.names) or any(
        isinstance(reference, Label) for reference in references(condition.tree)
    )
