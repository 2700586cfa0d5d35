"""Which networks may be deleted. Pure."""

from __future__ import annotations

from watchtower_agent.model.disk_usage import DiskUsage, Network
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.labels import is_marked
from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.circumstances import Holders
from watchtower_agent.policies.pruning.idleness import Idleness
from watchtower_agent.policies.pruning.item import Item, Kept, Protection
from watchtower_agent.policies.pruning.judgement import Judgement, Reason
from watchtower_agent.policies.pruning.rules import NetworkRules


def judged(
    rules: NetworkRules, idleness: Idleness, disk: DiskUsage, holders: Holders, now: Instant
) -> tuple[tuple[Item, ...], tuple[Kept, ...]]:
    """What becomes of the networks: those that nobody has referred to for longest come first."""
    judgement = Judgement(Kind.NETWORK, rules.unused_for)
    for network in disk.networks:
        span = idleness.span(network.id)
        unused = 0.0 if span is None else max(0.0, now.monotonic - span.since)
        found = _protection(network, holders)
        if found is None and (span is None or unused < rules.unused_for):
            missed = span is not None and span.since <= idleness.gap
            found = (Protection.GAP if missed else Protection.RECENT, "")
        if found is None:
            judgement.delete(network.id, network.name, size=0, unused=unused)
        else:
            judgement.keep(network.id, network.name, found, unused=unused)
    return judgement.by_idleness()


def _protection(network: Network, holders: Holders) -> Reason | None:
    if network.predefined:
        return Protection.PREDEFINED, ""
    if network.id in holders.networks:
        return Protection.CONTAINER, holders.networks[network.id]
    if network.swarm:
        return Protection.SWARM, ""
    return (Protection.LABEL, "") if is_marked(network.labels) else None
