"""Resized containers over time: what is known of each by the name it has now, and what is stored of that. Pure."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.making import digest
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.resizing.meter import Meter
from watchtower_agent.policies.resizing.past import FORGOTTEN_AFTER, Past
from watchtower_agent.policies.resizing.sizing import Look
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

KIND: Final = "resizing"
"""Of the records that the store keeps."""
LOOK_EVERY: Final = 60.0
"""Seconds between two looks at a container of which nothing is wanted."""


@dataclass(slots=True, kw_only=True)
class Resized:
    """One container by one policy, over time. All moments are on the monotonic clock.

    Attributes:
        meter: What it has used since the last look.
        past: What it used before.
        stored: The past as the store has it, and since when.
        container_id: Of the container that bears the name at present.
        due: When it is looked at next.
        told_at_max: When people were told last that only they can help it.
        told_by_hand: Of which change by somebody else people were told that it is left alone.
        killed: A process of it was killed for want of memory since the last look.
        looked: What came of the last look; None before the first.
        failures: Changes that failed in a row.
        failed: Why the last one did; empty where it did not.
        retry_at: When the next may be tried.
    """

    meter: Meter = field(default_factory=Meter)
    past: Past = field(default_factory=Past)
    stored: Past = field(default_factory=Past)
    stored_at: float = -math.inf
    container_id: str = ""
    due: float = -math.inf
    told_at_max: float = -math.inf
    told_by_hand: float | None = None
    killed: bool = False
    looked: Look | None = None
    failures: int = 0
    failed: str = ""
    retry_at: float = -math.inf


@dataclass(slots=True)
class ResizedContainers:
    """All of them. A name outlives its container: whoever is made under it goes on with what was learnt.

    Attributes:
        state: The host.
        publication: What is to be remembered goes into its effects of the step.
        by: Names of policy and container -> what is known.
    """

    state: HostState
    publication: Publication
    by: dict[tuple[str, str], Resized] = field(default_factory=dict)
    _names: frozenset[str] | None = None
    """Of the policies that resize, those that are off among them; None before any are known."""
    _called: dict[tuple[str, str], str] = field(default_factory=dict)
    """Policy and id of a container -> the name under which it is known."""

    def resume(self, resume: Resume, now: Instant) -> None:
        """Take in what the store remembers of an earlier run."""
        boots = Boots.restored(resume.records.get("clock", {}), now)
        for key, stored in resume.records.get(KIND, {}).items():
            policy, _, name = key.partition("\0")
            past = Past.restored(stored, now, boots)
            if past is not None:
                self.by[policy, name] = Resized(past=past, stored=past, stored_at=now.monotonic)

    def follow(self, policies: PolicySet) -> None:
        """From now on these are in force.

        What was learned for a policy that is gone is forgotten, but for the limits that it has changed: for two weeks
        they can be given back.
        """
        self._names = frozenset(
            policy.name for policy in policies.policies if isinstance(policy.trigger, ResizeStrategy)
        )
        former = [(key, known.past) for key, known in self.by.items() if self._is_former(key[0])]
        for key in [key for key, past in former if not past.may_have_originals]:
            self._forget(key)

    def of(self, policy: str, target_id: str) -> Resized | None:
        """What is known of a container by a policy; None where nothing is."""
        record = self.state.containers.get(target_id)
        return None if record is None else self.by.get((policy, record.container.name))

    def pasts_of(self, name: str) -> dict[str, Past]:
        """What is remembered of a container of that name, by policy, in force or not."""
        return {policy: known.past for policy, known in self.all_of(name).items()}

    def all_of(self, name: str) -> dict[str, Resized]:
        """What is known of a container of that name, by policy, in force or not."""
        return {policy: known for (policy, container), known in self.by.items() if container == name}

    def known(self, policy: Policy, record: ContainerRecord, now: Instant) -> Resized:
        """What is known of a container, under the name that it has by now."""
        container = record.container
        key = policy.name, container.name
        before = self._called.get((policy.name, container.id))
        if before not in {None, container.name} and (policy.name, before) in self.by:
            self._renamed((policy.name, str(before)), key, now)
        self._called[policy.name, container.id] = container.name
        known = self.by.get(key)
        if known is None:
            known = self.by[key] = Resized()
        if known.container_id != container.id:
            known.container_id, known.looked = container.id, None
            known.due = now.monotonic + _spread(container.id)
        return known

    def remember(self, key: tuple[str, str], known: Resized, now: Instant) -> None:
        """Have the store keep what is known by now."""
        known.stored, known.stored_at = known.past, now.monotonic
        self.publication.out.records.append(Record(kind=KIND, key="\0".join(key), value=known.past.stored(now)))

    def remember_again(self, now: Instant) -> None:
        """The store was lost while running: put what it must know into the new one."""
        for key, known in self.by.items():
            self.remember(key, known, now)

    def forget(self, now: Instant) -> None:
        """Names of containers come and go: what counts no more is not kept for ever."""
        ids = self.state.containers.keys()
        self._called = {key: name for key, name in self._called.items() if key[1] in ids}
        names = {record.container.name for record in self.state.containers.values()}
        for key, known in list(self.by.items()):
            looked = known.past.looked
            if key[1] in names and not self._is_former(key[0]):
                continue
            if looked is None or now.monotonic - looked > FORGOTTEN_AFTER:
                self._forget(key)

    def _is_former(self, policy: str) -> bool:
        """Whether that policy is known to be gone, or to resize nothing any more."""
        return self._names is not None and policy not in self._names

    def _renamed(self, before: tuple[str, str], key: tuple[str, str], now: Instant) -> None:
        """What was learned goes along, and stays under the old name: whoever is made under that goes on with it."""
        past = self.by[before].past
        self.by[key] = Resized(past=past, container_id=self.by[before].container_id)
        self.remember(key, self.by[key], now)

    def _forget(self, key: tuple[str, str]) -> None:
        del self.by[key]
        self.publication.out.records.append(Record(kind=KIND, key="\0".join(key), value=None))


def _spread(container_id: str) -> float:
    """Seconds until the first look: hundreds are not looked at in one step."""
    return int(digest("spread", container_id)[:4], 16) / 0xFFFF * LOOK_EVERY
