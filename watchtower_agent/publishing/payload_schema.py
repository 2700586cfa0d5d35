"""Which JSON Schema holds for which topic. The schemas are files beside this module, for any language to use."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files

_BY_TOPIC = (
    (re.compile(r"event/[^/]+/[^/]+/[^/]+\Z"), "event"),
    (re.compile(r"state/container/[^/]+\Z"), "container-state"),
    (re.compile(r"status\Z"), "status"),
    (re.compile(r"info\Z"), "info"),
    (re.compile(r"metrics\Z"), "metrics"),
    (re.compile(r"metrics/container/[^/]+\Z"), "container-metrics"),
    (re.compile(r"command/[^/]+\Z"), "command"),
    (re.compile(r"reply/[^/]+\Z"), "reply"),
)
_ROOT = re.compile(r"(?:.+/)?v1/[^/]+/")
_DISCOVERY = re.compile(r"[^+#]+/device/[A-Za-z0-9-]+_[A-Za-z0-9_-]+/config\Z")


def schema_name(topic: str) -> str | None:
    """The schema of what is published on a topic; None for others' topics."""
    if _DISCOVERY.match(topic):
        return "home-assistant"
    root = _ROOT.match(topic)
    if root is None:
        return None
    rest = topic[root.end() :]
    return next((name for pattern, name in _BY_TOPIC if pattern.match(rest)), None)


@lru_cache
def schema(name: str) -> dict[str, object]:
    """The JSON Schema of that name.

    One of `event`, `container-state`, `status`, `info`, `metrics`, `container-metrics`, `command`, `reply`,
    `home-assistant`. That of `status` is of its text, since no JSON is published there.
    """
    text = files(__package__).joinpath("schemas", f"{name}.json").read_text(encoding="utf-8")
    loaded: dict[str, object] = json.loads(text)
    return loaded
