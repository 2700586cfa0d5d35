"""`prune` of one policy: what it deletes, what sets it off and ends it, or what is wrong with that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from watchtower_agent.policies.catalogue import CATALOGUE, ValueType
from watchtower_agent.policies.conditions.condition import Condition, ConditionScope
from watchtower_agent.policies.conditions.tree import Literal, Name, Not
from watchtower_agent.policies.files.document import PolicyKeys
from watchtower_agent.policies.files.findings import Findings
from watchtower_agent.policies.files.part import PolicyPart
from watchtower_agent.policies.files.prune_keys import PruneKeys
from watchtower_agent.policies.files.trigger_meaning import TriggerMeaning, condition_at
from watchtower_agent.policies.linter.doubt import place_in
from watchtower_agent.policies.linter.logic import Part, cases, possible
from watchtower_agent.policies.policy import Budget, Trigger
from watchtower_agent.policies.pruning.rules import Rules
from watchtower_agent.policies.strategies.prune import COOLDOWN, MOST_PASSES, PASSES_PER, Prune

KINDS: Final = ("build_cache", "images", "containers", "networks", "volumes")
"""Keys under `prune` that say what is deleted."""
PRUNE_EXAMPLE: Final = "{until: host.disk.percent < 75%, build_cache: {}, images: {unused_for: 24h}}"
ONLY_OF_NAMED: Final = ("without_digest",)
"""Keys under `prune.images` that are about images with a name alone."""
NOT_BESIDE_PRUNE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("on", "where"), "leave it out: a pass begins by when, as in engine.images > 200, or by schedule"),
    "keep_for": "leave it out; until says when a pass ends",
    "then": "leave it out: prune is what is done, and each pass is told",
    "select": "leave it out: prune is about this host, and keep under images says what stays",
    "target": "leave it out: prune is about this host",
    **dict.fromkeys(("backoff", "depends", "restart_stopped"), "leave it out: it is about restarts"),
}
_TRIGGER_EXAMPLE: Final = "add when: host.disk.percent > 85%, or schedule: {cron: …, timezone: …}"


class PruneMeaning(PolicyPart):
    """Finds out what one policy prunes."""

    def __init__(self, keys: PolicyKeys, given: Callable[[str], bool], findings: Findings) -> None:
        super().__init__(keys, given, findings)
        self._when: frozenset[str] = frozenset()

    @property
    def meant(self) -> bool:
        """Whether the policy prunes."""
        return self._given("prune")

    def trigger(self) -> Trigger | None:
        """What sets a pass off, or None when there are findings."""
        for key, remedy in NOT_BESIDE_PRUNE.items():
            if self._given(key):
                self._findings.find((key,), f"{key} can't stand beside prune", remedy, at_key=True)
        if self._given("on") and not self._given("when") and not self._given("schedule"):
            return None
        trigger = TriggerMeaning(
            self._keys.model_copy(update={"on": None, "where": None}),
            lambda key: key not in NOT_BESIDE_PRUNE and self._given(key),
            self._findings,
            scope=ConditionScope.HOST,
            missing=_TRIGGER_EXAMPLE,
        )
        self._when = trigger.when.names
        return trigger.trigger()

    def prune(self) -> Prune | None:
        """What a pass does, or None when there are findings; asked after what sets it off."""
        keys = self._keys.prune
        if keys is None:
            return None
        self._named(keys)
        self._images(keys)
        until = None if keys.until is None else self._until(keys.until)
        if keys.until is None and self._findings.intact("prune", "until"):
            self._endless(self._when)
        return Prune(
            rules=Rules(
                build_cache=keys.build_cache.value() if keys.build_cache else None,
                images=keys.images.value() if keys.images else None,
                containers=keys.containers.value() if keys.containers else None,
                networks=keys.networks.value() if keys.networks else None,
                volumes=keys.volumes.value() if keys.volumes else None,
            ),
            until=until,
        )

    @property
    def cooldown(self) -> float:
        """Seconds between two passes."""
        return COOLDOWN if self._keys.cooldown is None else self._keys.cooldown

    def budget(self) -> Budget:
        """How many passes there may be."""
        keys = self._keys.budget
        if keys is None:
            return Budget(most=MOST_PASSES, per=PASSES_PER)
        if keys.on_open == "stop":
            message, remedy = "stop is about a container, and prune is about this host", "leave it out: people are told"
            self._findings.find(("budget", "on_open"), message, remedy)
        written = keys.model_fields_set
        return Budget(
            most=keys.most if "most" in written else MOST_PASSES,
            per=keys.per if "per" in written else PASSES_PER,
            probe_after=keys.probe_after,
        )

    def _named(self, keys: PruneKeys) -> None:
        if self._findings.intact("prune") and all(getattr(keys, kind) is None for kind in KINDS):
            remedy = f"name one of {', '.join(KINDS)}, as in images: {{unused_for: 24h}}"
            self._findings.find(("prune",), "nothing is named that may be deleted", remedy)

    def _images(self, keys: PruneKeys) -> None:
        if keys.images is None or not keys.images.dangling:
            return
        for key in ONLY_OF_NAMED:
            if key in keys.images.model_fields_set:
                message = f"{key} is about images with a name, and dangling: true deletes none of those"
                self._findings.find(("prune", "images", key), message, "leave one of them out", at_key=True)

    # --- until --------------------------------------------------------------------------------------------------------

    def _endless(self, when: frozenset[str]) -> None:
        """For want of space all of a plan would be deleted, where a part of it is enough."""
        names = [name for name, entry in CATALOGUE.items() if entry.of_disk and name in when]
        if names:
            example = " and ".join(_example(name) for name in names)
            message = "when is about the disk, and nothing says when there is enough space"
            self._findings.find(("prune",), message, f"add until: {example}")

    def _until(self, text: str) -> Condition | None:
        path = ("prune", "until")
        condition = condition_at(path, text, ConditionScope.DISK, self._findings).condition
        every = None if condition is None else cases(condition.tree)
        if condition is None or every is None:
            return condition
        wrong = next((part for case in every for part in case if not _more_space(part)), None)
        if wrong is not None:
            name = str(wrong.reference)
            message = f"{wrong} is not made true by deleting"
            self._findings.find(path, message, f"write it like {_example(name)}", offset=place_in(text, name))
        elif not possible(condition.tree):
            self._findings.find(path, f"this is never true: {text}", "write a mark that there can be")
        elif not possible(Not(condition.tree)):
            message = f"this is always true, and nothing would be deleted: {text}"
            self._findings.find(path, message, "write a mark that need not be")
        return condition


def _more_space(part: Part) -> bool:
    """Whether each deletion brings it nearer to being true."""
    name = part.reference.name if isinstance(part.reference, Name) else ""
    against_fixed = isinstance(getattr(part.tree, "right", None), Literal)
    more = {">", ">="} if _grows(name) else {"<", "<="}
    return against_fixed and part.sign in more


def _grows(name: str) -> bool:
    """Whether there is more of it with each deletion."""
    return CATALOGUE[name].type is ValueType.BYTES


def _example(name: str) -> str:
    return f"{name} > 50GiB" if _grows(name) else f"{name} < 75%"
