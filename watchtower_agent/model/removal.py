"""One deletion from the engine's disk: what is asked for, what came of it, and how much space there is after it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.values import dataclass

LEAST_OF_EXPECTED: Final = 0.05
"""Share of what a deletion should free: less is as good as nothing. Where files are compressed it is never all."""


class Kind(StrEnum):
    """What is deleted."""

    CACHE = "build_cache"
    IMAGE = "image"
    CONTAINER = "container"
    NETWORK = "network"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The data-root's file system.

    Attributes:
        total: Bytes.
        free: Bytes.
        inodes: How many it can have; 0: as many as fit.
        free_inodes: How many it has left.
    """

    total: int
    free: int
    inodes: int = 0
    free_inodes: int = 0

    @property
    def used(self) -> float:
        """Share that is used of bytes or of inodes, whichever is greater: 0…1."""
        return max(self.used_bytes, self.used_inodes)

    @property
    def used_bytes(self) -> float:
        """Share of the bytes that is used: 0…1."""
        return 1.0 - self.free / self.total if self.total else 0.0

    @property
    def used_inodes(self) -> float:
        """Share of the inodes that is used: 0…1; 0 where there are as many as fit."""
        return 1.0 - self.free_inodes / self.inodes if self.inodes else 0.0

    def has_more_than(self, before: Space, *, expected: int | None = None) -> bool:
        """Whether there is more room than before, of whatever is short.

        Of what is deleted while somebody holds it, directories go all the same: a few KiB, and some inodes.

        Args:
            before: How much there was.
            expected: Bytes that should have been freed; None: not known, so that any count.
        """
        if expected is None or self.used_inodes > self.used_bytes:
            return self.free > before.free or self.free_inodes > before.free_inodes
        return self.free - before.free > LEAST_OF_EXPECTED * expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One object that the engine is to be asked to delete: durable before it is.

    Attributes:
        kind: What it is.
        id: The engine's id; a volume's name.
        name: For people.
        tags: An image's: deleted only while it has just these.
        stamp: When a container ended, or a volume was made, seconds since the epoch: deleted only while that is so.
        unused_since: For a record of the build cache, when it was looked at, seconds since the epoch.
    """

    kind: Kind
    id: str
    name: str
    tags: frozenset[str] = frozenset()
    stamp: float | None = None
    unused_since: float = 0.0


class Fate(StrEnum):
    """What came of asking for a deletion."""

    DELETED = "deleted"
    LATE = "late"
    """The engine was not even asked: until that was durable, what was looked at may have changed."""
    GONE = "gone"
    """It was not there any more: somebody else has deleted it."""
    LEFT = "left"
    """It is needed: the engine, or a last look at it, says so."""
    FAILED = "failed"
    """The engine could not, or did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What came of one removal.

    Attributes:
        removal: What was asked for.
        fate: What came of it.
        freed: Bytes by the engine's account; None: it does not say. Only of build cache it does.
        reason: Why it was not deleted, for people.
        space: As measured afterwards; None: it can't be measured from here.
    """

    removal: Removal
    fate: Fate
    freed: int | None = None
    reason: str = ""
    space: Space | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retagging:
    """An image that has lost tags without going: they are to be given back, those that nobody else has by now.

    Attributes:
        id: `sha256:…`.
        tags: What it had when it was to be deleted.
    """

    id: str
    tags: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retagged:
    """What came of it.

    Attributes:
        retagging: What was asked for.
        reason: Why the image may lack some still, for people; empty: it has them, or nobody can give them back.
    """

    retagging: Retagging
    reason: str = ""


class Look(StrEnum):
    """How closely the engine's disk is looked at."""

    NAMES = "names"
    """What there is, without sizes: cheap."""
    SIZES = "sizes"
    """With sizes and the build cache (`/system/df`): the engine walks through all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskListed:
    """All that the engine keeps, as somebody wanted to know.

    Attributes:
        disk: What there is.
        look: How closely: a plan can be made only of one with sizes.
        space: As measured at that time; None: it can't be measured from here.
    """

    disk: DiskUsage
    look: Look
    space: Space | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUnlisted:
    """The engine did not tell what it keeps.

    Attributes:
        reason: One sentence for people.
        look: How closely it was asked.
    """

    reason: str
    look: Look


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAsked:
    """A person wants to see what policies would delete. It comes with a listing of just now.

    Attributes:
        policies: Their names.
        correlation_id: Of the plans, and of all that follows if they are carried out.
        listed: What the engine keeps.
    """

    policies: tuple[str, ...]
    correlation_id: str
    listed: DiskListed


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneAsked:
    """A person wants a plan carried out that they were shown: that one, and no other.

    Attributes:
        policy: Name of the policy.
        plan: Id of the plan.
    """

    policy: str
    plan: str
