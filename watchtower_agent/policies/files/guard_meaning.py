"""What holds one policy's actions back, or what is wrong with it: windows, approval, dependencies, backoff, budget."""

from __future__ import annotations

from typing import Final

from watchtower_agent.model.decision import Mode, Verb
from watchtower_agent.policies.files.part import PolicyPart
from watchtower_agent.policies.files.selector_meaning import tell_of_nothing
from watchtower_agent.policies.policy import Then

_BRINGS_BACK: Final = frozenset({Verb.RESTART, Verb.START})


class GuardMeaning(PolicyPart):
    """Finds out what the guards go by; `then` is what the policy does, None where that is not known."""

    def permission(self, then: Then | None) -> None:
        """What says when it may act, and who has to be asked."""
        self._windows(then)
        self._approval(then)

    def dependencies(self, then: Then | None) -> None:
        """Whom it waits for."""
        if self._findings.intact("depends"):
            for index, each in enumerate(self._keys.depends or ()):
                tell_of_nothing(each, ("depends", index), self._findings)
        if self._given("depends") and then is not None and then.verb is None:
            message = "depends holds actions back, and this policy only notifies"
            self._findings.find(("depends",), message, "leave it out: notifications are told at any time", at_key=True)

    def pace(self, then: Then | None) -> None:
        """How soon it tries again, and how often."""
        if then is None:
            return
        if self._given("backoff") and then.verb not in _BRINGS_BACK:
            does = f"does a {then.verb}" if then.verb is not None else "only notifies"
            message = f"backoff is for restart and start, and this policy {does}"
            self._findings.find(("backoff",), message, "leave it out, or use cooldown", at_key=True)
        if self._given("budget") and then.verb is None:
            message = "a budget is for actions, and this policy only notifies"
            self._findings.find(("budget",), message, "leave it out, or use cooldown", at_key=True)
        backoff = self._keys.backoff
        known = self._findings.intact("backoff", "initial") and self._findings.intact("backoff", "max")
        if backoff is not None and known and backoff.longest < backoff.initial:
            self._findings.find(("backoff", "max"), "max is less than initial", "write a max that is at least initial")

    def _windows(self, then: Then | None) -> None:
        windows = self._keys.windows
        if windows is not None and not windows and self._findings.intact("windows"):
            self._findings.find(("windows",), "no window is named", "name one, or leave windows out to act at any time")
        if self._given("windows") and then is not None and then.verb is None:
            message = "windows hold actions back, and this policy only notifies"
            self._findings.find(
                ("windows",), message, "leave them out: notifications are told at any time", at_key=True
            )

    def _approval(self, then: Then | None) -> None:
        """Whoever writes it means that nothing is done unasked: that must not fail for want of the mode."""
        if not self._given("approve_within"):
            return
        if self._keys.mode is Mode.ENFORCE and self._findings.intact("mode"):
            message = "approve_within belongs to mode: approve, and this policy acts without asking"
            self._findings.find(("approve_within",), message, "add mode: approve, or remove it", at_key=True)
        elif then is not None and then.verb is None:
            message = "people are asked about actions, and this policy only notifies"
            self._findings.find(
                ("approve_within",), message, "leave it out: notifications are told unasked", at_key=True
            )
