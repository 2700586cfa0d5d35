"""What a policy with `restart_engine` means: its budget, or what is wrong with it."""

from __future__ import annotations

from typing import Final

from watchtower_agent.policies.files.part import PolicyPart
from watchtower_agent.policies.files.trigger_meaning import TriggerMeaning
from watchtower_agent.policies.policy import ENGINE_BUDGET, Budget

_ABOUT: Final = "engine."
_EXAMPLE: Final = "when: engine.responding == false"
_LEAST_COOLDOWN: Final = 60.0
"""Seconds: an engine has to have the time to come up."""
_NOT_BESIDE: Final = ("select", "depends", "restart_stopped")


class EngineMeaning(PolicyPart):
    """Finds out what a policy with `restart_engine` means."""

    def together(self, trigger: TriggerMeaning) -> None:
        """What trigger and action must have to do with each other: only an engine in trouble is restarted."""
        condition = trigger.when.condition
        for key in _NOT_BESIDE:
            if self._given(key):
                message = f"{key} is about containers, and restart_engine is about the engine"
                self._findings.find((key,), message, "leave it out, or make a policy of its own", at_key=True)
        if self._keys.cooldown is not None and self._keys.cooldown < _LEAST_COOLDOWN:
            message = "an engine that was restarted needs longer than this to come up"
            self._findings.find(("cooldown",), message, "write 1m at least, or leave it out: 15m")
        if not self._given("when") and (self._given("on") or self._given("schedule")):
            message = "restart_engine is for an engine that is in trouble, and no condition says so"
            self._findings.find(("then", "restart_engine"), message, f"use {_EXAMPLE}, and for: 30s", at_key=True)
        elif condition is not None and not any(name.startswith(_ABOUT) for name in condition.names):
            message = "the condition says nothing of the engine, which is to be restarted"
            self._findings.find(("when",), message, f"ask about the engine, as in {_EXAMPLE}")

    def budget(self) -> Budget:
        """How many restarts there may be, by whichever policy."""
        keys = self._keys.budget
        if keys is None:
            return ENGINE_BUDGET
        written = keys.model_fields_set
        for key in ("on_open", "in_vain", "probe_after"):
            if key in written:
                message = f"{key} is about a breaker, and restarts of the engine have none: their budget holds them"
                self._findings.find(("budget", key), message, "leave it out", at_key=True)
        return Budget(
            most=keys.most if "most" in written else ENGINE_BUDGET.most,
            per=keys.per if "per" in written else ENGINE_BUDGET.per,
        )
