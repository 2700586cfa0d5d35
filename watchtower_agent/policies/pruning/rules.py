"""What may be pruned: what a policy's `prune:` can set, with its defaults."""

from __future__ import annotations

from typing import Final

from watchtower_agent.model.values import dataclass

HOUR: Final = 3600.0
DAY: Final = 86400.0


def _check(seconds: float, key: str) -> None:
    if not seconds >= 0.0:
        raise ValueError(f"{key} is a duration: {seconds}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRules:
    """`build_cache:`.

    Attributes:
        unused_for: Seconds without a use.

    Raises:
        ValueError: A duration below 0.
    """

    unused_for: float = 0.0

    def __post_init__(self) -> None:
        _check(self.unused_for, "unused_for")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRules:
    """`images:`.

    Attributes:
        unused_for: Seconds without a use.
        keep_newest: So many of each repository stay, those that were made last, by a tag or by a digest alone.
        keep: Patterns of names that stay; one without tag or digest means the whole repository.
        dangling: Only those without a name are deleted.
        without_digest: Those that have a name, and no registry to come back from, may be deleted, too.

    Raises:
        ValueError: A number below 0.
    """

    unused_for: float = DAY
    keep_newest: int = 2
    keep: tuple[str, ...] = ()
    dangling: bool = False
    without_digest: bool = False

    def __post_init__(self) -> None:
        _check(self.unused_for, "unused_for")
        if self.keep_newest < 0:
            raise ValueError(f"keep_newest counts images: {self.keep_newest}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRules:
    """`containers:`.

    Attributes:
        finished_for: Seconds since they ended.

    Raises:
        ValueError: A duration below 0.
    """

    finished_for: float = 7 * DAY

    def __post_init__(self) -> None:
        _check(self.finished_for, "finished_for")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRules:
    """`networks:`.

    Attributes:
        unused_for: Seconds for which no container has referred to it.

    Raises:
        ValueError: A duration below 0.
    """

    unused_for: float = DAY

    def __post_init__(self) -> None:
        _check(self.unused_for, "unused_for")


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRules:
    """`volumes:`.

    Attributes:
        only: Names and patterns of those that may be deleted. There is no other way to lose a volume.
        unattached_for: Seconds for which it was seen without a container, and nothing was missed.

    Raises:
        ValueError: No name, or a duration below 0.
    """

    only: tuple[str, ...]
    unattached_for: float = 7 * DAY

    def __post_init__(self) -> None:
        _check(self.unattached_for, "unattached_for")
        if not any(each.strip() for each in self.only):
            raise ValueError("only names the volumes that may be deleted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All of them. What is None is left alone.

    Attributes:
        until: Share (0…1) of the data-root's space and inodes below which a pass ends; None: it ends with the plan.
        build_cache: Records of the build cache.
        images: Images.
        containers: Containers that have ended.
        networks: Networks that nobody refers to.
        volumes: Volumes, those that are named.
        most: Objects in one pass, records of the build cache aside.
        most_cache: Records of the build cache in one pass: a build makes dozens, a few MiB each, and none holds
            anything but time.

    Raises:
        ValueError: A number that means nothing.
    """

    until: float | None = None
    build_cache: CacheRules | None = None
    images: ImageRules | None = None
    containers: ContainerRules | None = None
    networks: NetworkRules | None = None
    volumes: VolumeRules | None = None
    most: int = 20
    most_cache: int = 200

    def __post_init__(self) -> None:
        if self.until is not None and not 0.0 < self.until < 1.0:
            raise ValueError(f"until is a share between 0 and 1: {self.until}")
        if min(self.most, self.most_cache) < 1:
            raise ValueError("a pass deletes one object at least")
