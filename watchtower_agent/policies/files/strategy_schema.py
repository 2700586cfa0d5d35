"""What the JSON Schema says of `scale`, `resize` and `prune` beside what their models do: keys together. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from watchtower_agent.policies.files.metric_meaning import ONLY_FOR, SCALABLE, SOURCES
from watchtower_agent.policies.files.prune_keys import MOST_PATTERNS
from watchtower_agent.policies.files.prune_meaning import KINDS, NOT_BESIDE_PRUNE, ONLY_OF_NAMED
from watchtower_agent.policies.files.scale_meaning import MOST_BOUNDS, MOST_METRICS
from watchtower_agent.policies.files.strategy_meaning import NOT_BESIDE_RESIZE, NOT_BESIDE_SCALE

Schema = dict[str, Any]

_NEEDED: Final = {"metric": "target", "mqtt": "target_per_replica", "http": "target_per_replica"}
"""Source of a metric -> what else its item must have."""
_SERVICES: Final = ("swarm_service", "compose", "group")


def strategies() -> Iterator[Schema]:
    """What a policy may have in place of an action, or of a trigger and an action."""
    yield {"required": ["target", "scale"]}
    yield {"required": ["select", "resize"]}
    yield {"required": ["when", "prune"]}
    yield {"required": ["schedule", "prune"]}


def alone() -> Iterator[Schema]:
    """What can't stand beside a strategy."""
    for key, others in (
        ("scale", (*NOT_BESIDE_SCALE, "resize", "prune")),
        ("resize", (*NOT_BESIDE_RESIZE, "target", "prune")),
        ("prune", NOT_BESIDE_PRUNE),
    ):
        yield {"if": {"required": [key]}, "then": {"not": {"anyOf": [{"required": [other]} for other in others]}}}
    yield {"if": {"required": ["target"]}, "then": {"required": ["scale"]}}
    on_open = {"properties": {"budget": {"properties": {"on_open": {"const": "notify"}}}}}
    yield {"if": {"required": ["prune"]}, "then": on_open}
    of_disk = {"required": ["when", "prune"], "properties": {"when": {"pattern": r"\bhost\.disk\."}}}
    yield {"if": of_disk, "then": {"properties": {"prune": {"required": ["until"]}}}}


def complete(models: dict[str, Schema]) -> None:
    """Keys that are required, of which one is, or that go together.

    Args:
        models: The definitions of the schema, which are changed.
    """
    for name in ("MemoryKeys", "CpuKeys"):
        models[name]["required"] = ["min", "max"]
    models["ScaleKeys"]["required"] = ["min", "max", "metrics"]
    models["ResizeKeys"]["anyOf"] = [{"required": ["memory"]}, {"required": ["cpu"]}]
    models["BoundsKeys"]["anyOf"] = [{"required": ["min"]}, {"required": ["max"]}]
    models["TargetKeys"]["oneOf"] = [{"required": [service]} for service in _SERVICES]
    _complete_prune(models)
    scale: dict[str, Schema] = models["ScaleKeys"]["properties"]
    scale["metrics"] |= {"minItems": 1, "maxItems": MOST_METRICS}
    scale["schedule"] |= {"minItems": 1, "maxItems": MOST_BOUNDS}
    metric = models["MetricKeys"]
    metric["properties"]["metric"]["enum"] = list(SCALABLE)
    metric["oneOf"] = list(map(_of_source, SOURCES))


def _complete_prune(models: dict[str, Schema]) -> None:
    models["PruneKeys"]["anyOf"] = [{"required": [kind]} for kind in KINDS]
    images = models["ImagesKeys"]
    only_dangling = {"required": ["dangling"], "properties": {"dangling": {"const": True}}}
    of_named = {"anyOf": [{"required": [key]} for key in ONLY_OF_NAMED]}
    images |= {"if": only_dangling, "then": {"not": of_named}}
    for patterns in (images["properties"]["keep"], models["VolumesKeys"]["properties"]["only"]):
        patterns["maxItems"] = MOST_PATTERNS


def _of_source(source: str) -> Schema:
    """An item with that source: what it needs, and what it can't have."""
    others = [key for key, sources in ONLY_FOR.items() if source not in sources]
    others += [other for other in SOURCES if other != source]
    return {
        "required": [source, _NEEDED[source]],
        "not": {"anyOf": [{"required": [other]} for other in others]},
    }
