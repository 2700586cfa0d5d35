"""Where every message goes: the topics, and how a name becomes one level of a topic."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

LONGEST_KEY: Final = 80
"""Characters of a key at most; longer names are cut and told apart by their hash."""

SELF: Final = "self"
"""The key of what has no name of its own."""

_HASH_DIGITS: Final = 8
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_LOOKS_HASHED = re.compile(r"_[0-9a-f]{8}\Z")
_SERVICE_AND_SLOT: Final = r"(?P<service>.+)\.(?P<slot>[0-9]{1,10}|[a-z0-9]{25})"
_SWARM_TASK = re.compile(_SERVICE_AND_SLOT + r"\.[a-z0-9]{25}\Z", re.DOTALL)
_LIKE_A_SLOT = re.compile(_SERVICE_AND_SLOT + r"\Z", re.DOTALL)


@lru_cache(maxsize=8192)
def key(name: str) -> str:
    """One level of a topic for a name: valid in MQTT and as a Home Assistant object id, distinct for distinct names.

    Names with other characters are as distinct as 32 bits of a hash tell them.
    Only `[A-Za-z0-9_-]` survives. When anything else had to be replaced, or the name is too long, or looks as if it
    had been through here already, a short hash of the original is appended: so a key with a hash never equals a
    name that is its own key.
    """
    if not name:
        return SELF
    safe = _UNSAFE.sub("_", name)
    if safe == name and len(name) <= LONGEST_KEY and name != SELF and not _LOOKS_HASHED.search(name):
        return name
    return _hashed(safe, name)


def _hashed(safe: str, original: str) -> str:
    digest = hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{safe[: LONGEST_KEY - _HASH_DIGITS - 1]}_{digest}"


class SwarmTask(NamedTuple):
    """What the name of a Swarm task's container tells.

    Attributes:
        service: The service's name.
        slot: The replica's number, or the node's id for a global service.
    """

    service: str
    slot: str


def swarm_task(name: str) -> SwarmTask | None:
    """The service and slot in a container's name (`<service>.<slot>.<task id>`); None for other containers."""
    match = _SWARM_TASK.match(name)
    return SwarmTask(match["service"], match["slot"]) if match else None


@lru_cache(maxsize=8192)
def container_key(name: str) -> str:
    """The key of a container's name. A Swarm task's is that of `<service>.<slot>`: it survives the task."""
    task = swarm_task(name)
    if task:
        return key(f"{task.service}.{task.slot}")
    if _LIKE_A_SLOT.match(name):
        # A container that is called so itself is not that task. No name has a slash, wherever it stands.
        return _hashed(_UNSAFE.sub("_", name), f"/{name}")
    return key(name)


def image_name(reference: str, name: str) -> str:
    """An image's first tag, or its short id where no tag is known.

    Args:
        reference: The engine's id of the image in an event: a tag or `sha256:…`.
        name: The event's `name` attribute: a tag, a repository or `sha256:…` again.
    """
    for candidate in (reference, name):
        if candidate and not candidate.startswith("sha256:"):
            return candidate
    return (reference or name).removeprefix("sha256:")[:12]


class Topics:
    """The topics of one host's agent."""

    def __init__(self, *, base: str, host: str) -> None:
        """Build the fixed ones.

        Args:
            base: First level or levels, `watchtower` by default.
            host: The host's level, checked by the settings.
        """
        self._root = f"{base}/v1/{host}"
        self.status = f"{self._root}/status"
        """`online` or `offline`, retained, the last will."""
        self.info = f"{self._root}/info"
        """Versions and policies, retained."""
        self.metrics = f"{self._root}/metrics"
        """One batch per interval."""
        self.commands = f"{self._root}/command/"
        """The begin of the topics of commands, each with its name."""
        self.replies = f"{self._root}/reply/"
        """The begin of the topics of replies, each with the id that the sender chose."""
        self._states = f"{self._root}/state/container/"
        self._container_metrics = f"{self._root}/metrics/container/"

    def event(self, kind: str, action_key: str, name_key: str) -> str:
        """Of one event; action and name are keys already."""
        return f"{self._root}/event/{kind}/{action_key}/{name_key}"

    def container_state(self, name: str) -> str:
        """Of the retained state of the container of that name."""
        return self._states + container_key(name)

    def container_metrics(self, name: str) -> str:
        """Of the samples of the container of that name."""
        return self._container_metrics + container_key(name)

    def is_own(self, topic: str) -> bool:
        """Whether it is below those of this host."""
        return topic.startswith(f"{self._root}/")

    def former(self, topics: Sequence[str]) -> list[str]:
        """What another name of this host left with the broker, its status among it.

        Args:
            topics: All retained ones that this agent ever wrote and has not cleared.
        """
        foreign = [topic for topic in topics if not self.is_own(topic)]
        roots = [topic.removesuffix("/info") for topic in foreign if topic.endswith("/info")]
        return foreign + [f"{root}/status" for root in roots if "/state/container" not in root]

    def is_container_state(self, topic: str) -> bool:
        """Whether the topic holds the retained state of a container of this host."""
        return topic.startswith(self._states)
