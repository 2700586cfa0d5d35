"""Which containers one policy is about: `select` and what is written like it, compiled, or told what is wrong."""

from __future__ import annotations

from watchtower_agent.policies.files.document import SelectKeys
from watchtower_agent.policies.files.findings import Findings
from watchtower_agent.policies.problem import Path
from watchtower_agent.policies.selector import Patterns, Selector


def tell_of_nothing(select: SelectKeys, path: Path, findings: Findings) -> None:
    """Parts of a selector that select by nothing, which nobody means.

    Args:
        select: Its keys.
        path: Where in the policy it stands.
        findings: Where mistakes go.
    """
    if not select.model_fields_set:
        instead = "name what is left out, or remove not"
        remedy = instead if path[-1] == "not" else 'write {name: "*"} to mean every container'
        findings.find(path, "this selects by nothing", remedy)
    if select.labels is not None and not select.labels:
        findings.find((*path, "labels"), "no label is named", 'write them like {autoheal: "true"}')
    if select.compose is not None and not select.compose.model_fields_set:
        findings.find((*path, "compose"), "neither project nor service is named", "write {project: shop, service: web}")
    if select.exclude is not None:
        tell_of_nothing(select.exclude, (*path, "not"), findings)


def selector_of(select: SelectKeys) -> Selector:
    """The compiled selector."""
    compose = select.compose
    return Selector(
        names=_patterns(select.name),
        images=_patterns(select.image),
        labels={key: Patterns(tuple(values)) for key, values in (select.labels or {}).items()},
        compose_project=_patterns(compose.project) if compose else None,
        compose_service=_patterns(compose.service) if compose else None,
        swarm_service=_patterns(select.swarm_service),
        networks=_patterns(select.networks),
        statuses=frozenset(select.status or ()),
        exclude=selector_of(select.exclude) if select.exclude else None,
    )


def _patterns(texts: list[str] | None) -> Patterns | None:
    return None if texts is None else Patterns(tuple(texts))
