"""Policies that look at their target all the time: `target` with `scale`, and `select` with `resize`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchtower_agent.policies.files.part import PolicyPart
from watchtower_agent.policies.files.resize_keys import CpuKeys, MemoryKeys, ResizeKeys
from watchtower_agent.policies.files.scale_meaning import SCALE_EXAMPLE, TARGET_EXAMPLE, ScaleMeaning, target_of
from watchtower_agent.policies.strategies.resize import CpuRule, MemoryRule, ResizeStrategy
from watchtower_agent.policies.strategies.scale import ScaleStrategy

_TRIGGERED: Final = ("when", "on", "schedule", "then", "prune")
NOT_BESIDE_SCALE: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("when", "for", "keep_for", "on", "where"), "leave it out: a service that is scaled is looked at all the time"
    ),
    "schedule": "leave it out; a schedule under scale changes min and max at times",
    "then": "leave it out: scale is what is done",
    "select": "leave it out: target says which service",
    "cooldown": "leave it out; cooldown under up, and the times of the steps, say how soon after a change",
    **dict.fromkeys(("backoff", "budget"), "leave it out; the steps under up and down say how fast it moves"),
    **dict.fromkeys(("depends", "restart_stopped"), "leave it out: it is about restarts"),
}
NOT_BESIDE_RESIZE: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("when", "for", "keep_for", "on", "where"), "leave it out: what is resized is looked at all the time"
    ),
    "schedule": "leave it out; windows say when limits may be changed",
    "then": "leave it out: resize is what is done",
    **dict.fromkeys(
        ("cooldown", "budget"), "leave it out: limits go up every 10m and down every 6h at most, 6 times in 1h in all"
    ),
    **dict.fromkeys(("backoff", "depends", "restart_stopped"), "leave it out: it is about restarts"),
}


class StrategyMeaning(PolicyPart):
    """Finds out what one policy keeps its target at."""

    @property
    def meant(self) -> bool:
        """Whether the policy has a strategy in place of a trigger and an action."""
        alone = self._given("target") and not any(map(self._given, _TRIGGERED))
        return self._given("scale") or self._given("resize") or alone

    def strategy(self) -> ScaleStrategy | ResizeStrategy | None:
        """What it is, or None when there are findings."""
        scaled, resized = self._given("scale") or self._given("target"), self._given("resize")
        if self._given("prune"):
            other = "scale" if self._given("scale") else "resize"
            message = f"a policy does one thing, and this has {other} and prune"
            self._findings.find(("prune",), message, "make two policies of it", at_key=True)
        if scaled and resized:
            other = "scale" if self._given("scale") else "target"
            message = f"a policy does one thing, and this has {other} and resize"
            self._findings.find(("resize",), message, "make two policies of it", at_key=True)
        else:
            self._beside("scale" if scaled else "resize", NOT_BESIDE_SCALE if scaled else NOT_BESIDE_RESIZE)
        scale = self._scale() if scaled else None
        return self._resize() if resized else scale

    def misplaced_target(self) -> None:
        """A target beside a trigger or an action: most likely it is to say which containers."""
        if self._given("target"):
            remedy = "use select to say which containers, or scale in place of a trigger and then"
            self._findings.find(("target",), "target belongs to scale", remedy, at_key=True)

    def _beside(self, strategy: str, refused: Mapping[str, str]) -> None:
        for key, remedy in refused.items():
            if self._given(key):
                self._findings.find((key,), f"{key} can't stand beside {strategy}", remedy, at_key=True)

    def _scale(self) -> ScaleStrategy | None:
        keys = self._keys
        if not self._given("target"):
            message = "scale needs a service, and there is no target"
            self._findings.find(("scale",), message, f"add target: {TARGET_EXAMPLE}", at_key=True)
        if not self._given("scale"):
            self._findings.find(("target",), "target belongs to scale", f"add scale: {SCALE_EXAMPLE}", at_key=True)
        target = target_of(keys.target, self._findings) if keys.target is not None else None
        return ScaleMeaning(keys.scale, target, self._findings).strategy() if keys.scale is not None else None

    def _resize(self) -> ResizeStrategy | None:
        keys = self._keys.resize
        if not self._given("select"):
            message = "resize needs containers, and none are selected"
            self._findings.find(
                ("resize",), message, 'add select: {name: "*"} to mean every container, or a narrower one', at_key=True
            )
        return None if keys is None else self._limits(keys)

    def _limits(self, keys: ResizeKeys) -> ResizeStrategy:
        if keys.memory is None and keys.cpu is None and self._findings.intact("resize"):
            remedy = "write {memory: {min: 128MiB, max: 2GiB}}, {cpu: {min: 0.1, max: 2}} or both"
            self._findings.find(("resize",), "neither memory nor cpu is named", remedy)
        memory = self._ordered(keys.memory, "memory", "128MiB", "2GiB")
        cpu = self._ordered(keys.cpu, "cpu", "0.1", "2")
        return ResizeStrategy(
            memory=None if memory is None else MemoryRule(least=int(memory[0]), most=int(memory[1])),
            cpu=None if cpu is None else CpuRule(least=cpu[0], most=cpu[1]),
            data=keys.data,
        )

    def _ordered(self, keys: MemoryKeys | CpuKeys | None, key: str, low: str, high: str) -> tuple[float, float] | None:
        """Both bounds, none when there are findings."""
        if keys is None:
            return None
        for bound, value, example in (("min", keys.least, low), ("max", keys.most, high)):
            if value is None and self._findings.intact("resize", key, bound):
                self._findings.find(("resize", key), f"the key {bound} is missing", f"add {bound}: {example}")
        if keys.least is None or keys.most is None:
            return None
        if keys.most < keys.least:
            self._findings.find(("resize", key, "max"), "max is less than min", "write a max that is at least min")
            return None
        return keys.least, keys.most
