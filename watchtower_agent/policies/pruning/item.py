"""One thing that an engine keeps, as a plan has it: to be deleted, or kept, and why."""

from __future__ import annotations

from enum import StrEnum

from watchtower_agent.model.removal import Kind
from watchtower_agent.model.values import dataclass


class Protection(StrEnum):
    """Why it is kept. The first that holds is told."""

    OWN = "own"
    """The agent itself runs from it, or in it."""
    LABEL = "label"
    """It carries the label that protects."""
    CONTAINER = "container"
    """A container refers to it, in whatever state."""
    RUNNING = "running"
    """A container that has not ended."""
    NEVER_ENDED = "never_ended"
    """A container that was made and never ran, or whose end is not known."""
    SERVICE = "service"
    """A service names it in its present or previous specification."""
    ORCHESTRATOR = "orchestrator"
    """An orchestrator owns it."""
    COMPOSE = "compose"
    """A Compose project that is present on this host has or had it, also while it is down."""
    CHILD = "child"
    """An image that is kept is built upon it."""
    UNREAD = "unread"
    """An image of which the engine does not tell what it is made of."""
    PATTERN = "pattern"
    """The policy's `keep` names it."""
    NEWEST = "newest"
    """One of the newest of its repository."""
    NAMED = "named"
    """It has a name, and the policy deletes only images without one."""
    NO_DIGEST = "no_digest"
    """No registry can give it back."""
    PREDEFINED = "predefined"
    """The engine's own network."""
    SWARM = "swarm"
    """A network of the Swarm: containers on other nodes may refer to it."""
    IN_USE = "in_use"
    """A build uses it at present."""
    SHARED = "shared"
    """An image has the same bytes: to delete it frees nothing."""
    NOT_LISTED = "not_listed"
    """A volume that the policy's `only` does not name."""
    PRESSURE = "pressure"
    """A volume, and it is for want of space that something is to be deleted."""
    ENGINE_UP = "engine_up"
    """A volume, and the engine has not been up for long enough, or for how long is not known."""
    LISTINGS = "listings"
    """A volume that two listings have not agreed upon yet."""
    GAP = "gap"
    """Since then something may have happened that nobody saw."""
    RECENT = "recent"
    """It was used too short a time ago, or when is not known."""
    # found out just before it would have been deleted:
    GONE = "gone"
    CHANGED = "changed"
    """It is not as it was planned: another name, another end."""
    USED_AGAIN = "used_again"
    ENGINE = "engine"
    """The engine, or a last look at it, says that it is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One that is to be deleted.

    Attributes:
        kind: What it is.
        id: The engine's id; a volume's name.
        name: For people: an image's first tag, else as much of the id as one can read.
        size: Bytes that this frees, as far as the engine says beforehand; None: not known.
        unused: Seconds since it was last used, at the time of the plan: ended, for a container.
        asked: Seconds that the policy asks for: this, and that nothing protects it, is why it may be deleted.
        tags: Names of an image: deleted only while it has just these.
        stamp: By the engine's own account, seconds since the epoch: when a container ended, when a record of the build
            cache was last used, when a volume was made. Deleted only while that is so; None: the engine does not say.
        parents: Ids of others that can't be deleted before it.
        cached: The build cache may have its bytes, too: they are free once that is pruned the next time.
    """

    kind: Kind
    id: str
    name: str
    size: int | None
    unused: float
    asked: float
    tags: tuple[str, ...] = ()
    stamp: float | None = None
    parents: tuple[str, ...] = ()
    cached: bool = False

    @property
    def frees(self) -> bool:
        """Whether free space should grow by it. A network has no bytes, nor has an image that shares them all."""
        return self.size != 0 and not self.cached


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One that stays.

    Attributes:
        kind: What it is.
        id: The engine's id; a volume's name.
        name: For people.
        protection: Why.
        by: Name of what it stays for: the container, the project, the repository, the pattern; empty where that is
            all in the protection.
        size: Bytes that it takes; None: not known.
        unused: Seconds since it was last used; None: that was not asked.
        asked: Seconds that the policy asks for; None: that was not asked.
    """

    kind: Kind
    id: str
    name: str
    protection: Protection
    by: str = ""
    size: int | None = None
    unused: float | None = None
    asked: float | None = None


def short(identity: str) -> str:
    """As much of an id as one can read."""
    return identity.removeprefix("sha256:")[:12]
