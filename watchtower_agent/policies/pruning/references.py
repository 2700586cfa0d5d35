"""Names of images: one form for each, whoever wrote it, and which repository it is of. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self

from watchtower_agent.model.disk_usage import Image
from watchtower_agent.model.image_reference import ImageReference, parsed_reference
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.selector import Patterns

ID: Final = "sha256:"
"""Ids of images begin so."""
_HEX: Final = frozenset("0123456789abcdef")


def repository(reference: str) -> str:
    """An image's name without tag and digest: of `docker.io/library/web:1.2` it is `web`."""
    return parsed_reference(reference).repository


def normalised(reference: str) -> str:
    """A reference as the engine lists it: `web` is `web:latest`; with a digest, the tag says nothing."""
    return _written(parsed_reference(reference))


def is_part_of_id(reference: str) -> bool:
    """Whether it may be an id, or the begin of one: then it is no name, unless an image has just that name."""
    return bool(reference) and _HEX.issuperset(reference.removeprefix(ID))


def is_named_by(patterns: Patterns, reference: str) -> bool:
    """Whether a pattern means that image; one without tag or digest means any of its repository."""
    if patterns.match(reference):
        return True
    parsed = parsed_reference(reference)
    return patterns.match(_written(parsed)) or patterns.match(parsed.repository)


@dataclass(frozen=True, slots=True)
class References:
    """What images are called by those who need them.

    Attributes:
        names: In the one form.
        digests: Of those that name one.
        ids: Of images, or their begins: what may be one.
    """

    names: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, references: Iterable[str]) -> Self:
        """Those of texts. One by tag and digest means both."""
        every = frozenset(references)
        return cls(
            frozenset(name for each in every for name in (normalised(each), normalised(each.partition("@")[0]))),
            frozenset(each.partition("@")[2] for each in every if "@" in each),
            tuple(ID + each.removeprefix(ID) for each in every if is_part_of_id(each)),
        )

    def name(self, image: Image) -> str:
        """By which of its names one of them means it; empty: none does."""
        if not self.names:
            return ""
        named = (each for each in (*image.tags, *image.digests) if normalised(each) in self.names)
        found = next(named, "") or next((each for each in image.digests if each.partition("@")[2] in self.digests), "")
        return found or next((image.id for each in self.ids if image.id.startswith(each)), "")


def _written(parsed: ImageReference) -> str:
    return f"{parsed.repository}@{parsed.digest}" if parsed.digest else f"{parsed.repository}:{parsed.tag}"
