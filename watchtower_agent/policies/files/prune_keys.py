"""The YAML document's models of `prune`: which keys there are, what each is for, and what type it has."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from watchtower_agent.policies.files.document_values import LONGEST_TEXT, Duration, OneOrMany, wrong
from watchtower_agent.policies.files.keys import Keys
from watchtower_agent.policies.pruning.rules import (
    CacheRules,
    ContainerRules,
    ImageRules,
    NetworkRules,
    VolumeRules,
)

MOST_PATTERNS: Final = 100
"""Under `keep` and `only`."""
MOST_NEWEST: Final = 1000
ONLY_EXAMPLE: Final = '["cache-*"], the volumes that may be lost'
_DAY: Final[dict[str, Any]] = {"default": "24h"}
_WEEK: Final[dict[str, Any]] = {"default": "7d"}


def _few(patterns: list[str]) -> list[str]:
    if len(patterns) > MOST_PATTERNS:
        raise wrong(f"{len(patterns)} patterns are more than anybody keeps in mind", f"{MOST_PATTERNS} is the most")
    return patterns


def _some(value: object) -> object:
    if value == []:
        raise wrong("no volume is named", f"write only: {ONLY_EXAMPLE}")
    return value


def _not_all(patterns: list[str]) -> list[str]:
    """Whoever writes `*` can't have gone through them."""
    for pattern in patterns:
        if not pattern.strip("*?"):
            raise wrong("this names every volume", f"write only: {ONLY_EXAMPLE}")
    return patterns


def _newest(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_NEWEST:
        raise wrong("this is not a number of images", f"write a whole number from 0 to {MOST_NEWEST}")
    return value


Patterns = Annotated[OneOrMany, AfterValidator(_few)]
"""Names, or patterns of them."""
VolumeNames = Annotated[OneOrMany, AfterValidator(_few), AfterValidator(_not_all), BeforeValidator(_some)]
"""Volumes that may be deleted."""
Newest = Annotated[
    int, BeforeValidator(_newest), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MOST_NEWEST})
]
"""Images of one repository."""


class BuildCacheKeys(Keys):
    """Records of the build cache that no build uses; {} for all of them."""

    unused_for: Duration = Field(
        default=CacheRules().unused_for,
        description="How long they have not been used.",
        json_schema_extra={"default": "0s"},
    )

    def value(self) -> CacheRules:
        """What decides."""
        return CacheRules(unused_for=self.unused_for)


class ImagesKeys(Keys):
    """Images that nothing here refers to, and that a registry can give back; {} for the defaults."""

    unused_for: Duration = Field(
        default=ImageRules().unused_for, description="How long they have not been used.", json_schema_extra=_DAY
    )
    keep_newest: Newest = Field(
        default=ImageRules().keep_newest,
        description="How many of each repository stay, those that were made last, with a tag or without.",
    )
    keep: Patterns | None = Field(
        default=None, description="Names of images that stay, * ? [ab] [!ab] are wildcards; without a tag, any tag."
    )
    dangling: bool = Field(default=ImageRules().dangling, description="Only those without a name are deleted.")
    without_digest: bool = Field(
        default=ImageRules().without_digest,
        description="Those that no registry can give back are deleted, too: what was built here.",
    )

    def value(self) -> ImageRules:
        """What decides."""
        return ImageRules(
            unused_for=self.unused_for,
            keep_newest=self.keep_newest,
            keep=tuple(self.keep or ()),
            dangling=self.dangling,
            without_digest=self.without_digest,
        )


class EndedContainersKeys(Keys):
    """Containers that have ended, those of Compose and of orchestrators aside; {} for the defaults."""

    finished_for: Duration = Field(
        default=ContainerRules().finished_for, description="How long ago they ended.", json_schema_extra=_WEEK
    )

    def value(self) -> ContainerRules:
        """What decides."""
        return ContainerRules(finished_for=self.finished_for)


class NetworksKeys(Keys):
    """Networks that no container refers to, running or not; {} for the defaults."""

    unused_for: Duration = Field(
        default=NetworkRules().unused_for,
        description="For how long no container has referred to them.",
        json_schema_extra=_DAY,
    )

    def value(self) -> NetworkRules:
        """What decides."""
        return NetworkRules(unused_for=self.unused_for)


class VolumesKeys(Keys):
    """Volumes, those that are named: never for want of space, and only where the agent's settings allow it."""

    only: VolumeNames = Field(description="Names of those that may be deleted, * ? [ab] [!ab] are wildcards.")
    unattached_for: Duration = Field(
        default=VolumeRules(only=("x",)).unattached_for,
        description="For how long they were seen without a container.",
        json_schema_extra=_WEEK,
    )

    def value(self) -> VolumeRules:
        """What decides."""
        return VolumeRules(only=tuple(self.only), unattached_for=self.unattached_for)


class PruneKeys(Keys):
    """What is deleted: one of these at least; and until."""

    until: Annotated[str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT})] | None = Field(
        default=None,
        description="A condition about host.disk: once it is true a pass ends, with much of its plan left.",
    )
    build_cache: BuildCacheKeys | None = Field(default=None, description="The build cache.")
    images: ImagesKeys | None = Field(default=None, description="Images that nothing refers to.")
    containers: EndedContainersKeys | None = Field(default=None, description="Containers that have ended.")
    networks: NetworksKeys | None = Field(default=None, description="Networks that nothing refers to.")
    volumes: VolumesKeys | None = Field(default=None, description="Volumes that only names.")
