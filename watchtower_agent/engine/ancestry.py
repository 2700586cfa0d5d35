"""Which image is built upon which. Asks each image once for its layers, which never change.

The engine says so of what was committed, and of what its former builder made; of what BuildKit builds it does not, and
an engine that keeps its images in containerd never does. But an image begins with all layers of that upon which it is
built.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2s
from threading import Lock
from urllib.parse import quote

from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.fields import mapping, sequence, text
from watchtower_agent.engine.translation import EngineRefusedError
from watchtower_agent.errors import UnansweredError, WatchtowerError
from watchtower_agent.model.disk_usage import Image

_MOST_LAYERS = 500
"""An engine has no image with as many."""
_MOST_UNANSWERED = 3
"""Images of which no answer is waited for in one listing: each costs the whole time that a call may take."""


class Ancestry:
    """The layers of an engine's images, as far as they were asked for."""

    def __init__(self) -> None:
        # Id -> one text for each of its layers, of that and all below it: two that are equal have all of these.
        self._layers: dict[str, tuple[str, ...]] = {}
        # Ids of those of which there was no answer: they are asked last, so that they hold up no other.
        self._silent: frozenset[str] = frozenset()
        self._lock = Lock()

    def told(
        self, images: Sequence[Image], calls: EngineCalls, what: str, *, patient: bool = True
    ) -> tuple[Image, ...]:
        """The images with their parents, also where the engine's listing does not tell.

        One of which the engine answers an error, or nothing, is marked as unread; the others are asked all the same.

        Args:
            images: All that there are.
            calls: The blocking API.
            what: What is being done, for errors.
            patient: Whether those that gave no answer the last time are asked again. It takes the whole time of a call.

        Raises:
            EngineRefusedError: The engine is gone.
        """
        with self._lock:
            known = {image.id: self._layers[image.id] for image in images if image.id in self._layers}
            silent = self._silent
        unread: set[str] = set()
        unanswered: set[str] = set()
        try:
            for image_id in sorted((each.id for each in images if each.id not in known), key=silent.__contains__):
                if len(unanswered) >= _MOST_UNANSWERED or (not patient and image_id in silent):
                    unread.add(image_id)
                    continue
                try:
                    known[image_id] = _layers(calls, image_id, what)
                except EngineRefusedError:
                    raise
                except UnansweredError:
                    unanswered.add(image_id)
                except WatchtowerError:
                    unread.add(image_id)
        finally:  # where the engine ends to answer, the next try goes on from there
            with self._lock:
                self._layers = {image_id: layers for image_id, layers in known.items() if layers}
                self._silent = (silent & unread) | unanswered
        unread |= unanswered
        return tuple(
            replace(image, unread=True) if image.id in unread else image for image in with_parents(images, known)
        )


def with_parents(images: Sequence[Image], layers: Mapping[str, tuple[str, ...]]) -> tuple[Image, ...]:
    """The images, each with the one that has most of its lowest layers and no other; the engine's own word comes first.

    Of several with the same layers the one that has a name is meant, then the youngest.

    Args:
        images: All that there are.
        layers: Of each, the lowest first (`stacked`); an empty one where that is not known.
    """
    holders: dict[str, Image] = {}
    for image in sorted(images, key=lambda each: (bool(each.tags), each.created_at, each.id)):
        if layers.get(image.id):
            holders[layers[image.id][-1]] = image

    def parent(image: Image) -> str:
        below = (holders.get(each) for each in reversed(layers.get(image.id, ())[:-1]))
        return next((each.id for each in below if each is not None), "")

    return tuple(image if image.parent else replace(image, parent=parent(image)) for image in images)


def stacked(layers: Iterable[str]) -> tuple[str, ...]:
    """A short text for each layer, of it and all below it."""
    stack: list[str] = []
    for layer in layers:
        below = stack[-1] if stack else ""
        # Most images share most of them, so each is in memory once.
        stack.append(sys.intern(blake2s(f"{below} {layer}".encode(), digest_size=16).hexdigest()))
    return tuple(stack)


def _layers(calls: EngineCalls, image_id: str, what: str) -> tuple[str, ...]:
    """Those of an image; none of one of which the engine can't tell."""
    raw = calls.get(f"/images/{quote(image_id, safe=':')}/json", what=what)
    layers = [text(each) for each in sequence(mapping(mapping(raw).get("RootFS")).get("Layers"))[:_MOST_LAYERS]]
    return stacked(layers) if all(layers) else ()
