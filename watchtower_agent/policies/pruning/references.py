"""Names of images: one form for each, whoever wrote it, and which repository it is of. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self

from watchtower_agent.model.disk_usage import Image
from watchtower_agent.model.image_reference import parts
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.selector import Patterns

ID: Final = "sha256:"
"""Ids of images begin so."""
_HEX: Final = frozenset("0123456789abcdef")


def repository(reference: str) -> str:
    """An image's name without tag and digest: of `docker.io/library/web:1.2` it is `web`."""
    return parts(reference)[0]


def normalised(reference: str) -> str:
    """A reference as the engine lists it: `web` is `web:latest`; with a digest, the tag says nothing."""
    return _written(*parts(reference))


def is_part_of_id(reference: str) -> bool:
    """Whether it may be an id, or the begin of one: then it is no name, unless an image has just that name."""
    return bool(reference) and _HEX.issuperset(reference.removeprefix(ID))


def is_named_by(patterns: Patterns, reference: str) -> bool:
    """Whether a pattern means that image, however spelt; one without tag or digest means all of its repository."""
    name, tag, digest = parts(reference)
    ending = _written(name, tag, digest).removeprefix(name)
    return patterns.match(reference) or any(
        patterns.match(each) or patterns.match(each + ending) for each in _spellings(name)
    )


def _spellings(name: str) -> tuple[str, ...]:
    """How people write a repository that the engine lists by its short name, that first."""
    host, slash, _ = name.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return (name,)  # of a registry that has no short names
    whole = name if slash else f"library/{name}"
    return (name, *(f"{registry}{whole}" for registry in ("", "docker.io/", "index.docker.io/")))


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
        names, digests = self.names, self.digests
        if not names:
            return ""
        for each in (*image.tags, *image.digests):
            if normalised(each) in names:
                return each
        for each in image.digests if digests else ():
            if each.partition("@")[2] in digests:
                return each
        return next((image.id for each in self.ids if image.id.startswith(each)), "") if self.ids else ""


def _written(name: str, tag: str, digest: str) -> str:
    return f"{name}@{digest}" if digest else f"{name}:{tag}"
