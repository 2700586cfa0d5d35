"""Policies that go by less than is true. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from watchtower_agent.policies.linter.doubt import Doubt, names_of
from watchtower_agent.policies.linter.surroundings import Surroundings
from watchtower_agent.policies.policy import Policy


def partly_known(policy: Policy, surroundings: Surroundings) -> Iterator[Doubt]:
    """Names of which these settings tell a part only: a share of a limit that is not the one that holds."""
    for name, path, offset in names_of(policy):
        if name not in surroundings.partly_known:
            continue
        yield Doubt(
            policy=policy,
            path=path,
            message=f"{name} goes by the container's own limit with these settings: where a cgroup around it (a slice, "
            "--cgroup-parent, LXC) allows less, that may not be known",
            remedy=surroundings.partly_known[name],
            offset=offset,
        )
