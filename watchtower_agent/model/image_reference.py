"""How images are named: which image a reference means."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from watchtower_agent.model.disk_usage import Image
from watchtower_agent.model.values import dataclass

_DEFAULT_REGISTRIES: Final = ("docker.io/", "index.docker.io/")
_DEFAULT_NAMESPACE: Final = "library/"
_DEFAULTS: Final = (*_DEFAULT_REGISTRIES, _DEFAULT_NAMESPACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """A reference in its parts, as short as the engine itself shows it.

    Attributes:
        repository: `web`, `registry.example:5000/team/web`.
        tag: `latest` where neither a tag nor a digest was given; empty where a digest was.
        digest: `sha256:…`; empty for none.
    """

    repository: str
    tag: str = ""
    digest: str = ""


def parsed_reference(text: str) -> ImageReference:
    """The parts of `web`, `docker.io/library/web:1.2`, `web@sha256:…` and `web:1.2@sha256:…`."""
    repository, tag, digest = parts(text)
    return ImageReference(repository=repository, tag=tag, digest=digest)


@lru_cache(maxsize=8192)  # a plan of pruning asks several times for those of every image, and is made anew before each
def parts(text: str) -> tuple[str, str, str]:
    """The same as (repository, tag, digest)."""
    name, _, digest = text.partition("@")
    colon = name.rfind(":")
    if colon > name.rfind("/"):
        repository, tag = name[:colon], name[colon + 1 :]
    else:  # none, or a registry's port
        repository, tag = name, ""
    if repository.startswith(_DEFAULTS):
        for registry in _DEFAULT_REGISTRIES:
            repository = repository.removeprefix(registry)
        repository = repository.removeprefix(_DEFAULT_NAMESPACE)
    return repository, tag or ("" if digest else "latest"), digest


def means(reference: str, image: Image) -> bool:
    """Whether a reference may mean that image: by its id or the begin of that, by a digest that it has, or by its tag.

    One with a tag and a digest may mean it by either: whoever is told so deletes too little rather than too much.
    """
    if not reference:
        return False
    if image.id.startswith(reference) or image.id.partition(":")[2].startswith(reference):
        return True
    wanted = parsed_reference(reference)
    if wanted.digest and wanted.digest in {image.id, *(parsed_reference(digest).digest for digest in image.digests)}:
        return True
    tags = map(parsed_reference, image.tags)
    return bool(wanted.tag) and any((tag.repository, tag.tag) == (wanted.repository, wanted.tag) for tag in tags)
