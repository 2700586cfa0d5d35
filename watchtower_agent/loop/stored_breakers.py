"""Breakers as the store keeps them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.guards.breakers import Breaker, Probe
from watchtower_agent.policies.guards.ledger import Scope, ScopeKind
from watchtower_agent.policies.policy import Budget
from watchtower_agent.policies.waiting import decision_from_json, decision_json


def scope_key(scope: Scope) -> str:
    """The key under which the breaker of that scope is kept."""
    return f"{scope.kind}\0{scope.name}"


def scope_restored(key: str) -> Scope | None:
    """Whose breaker is kept under that key; None when that can't be read."""
    kind, _, name = key.partition("\0")
    try:
        return Scope(ScopeKind(kind), name)
    except ValueError:
        return None


def breaker_stored(breaker: Breaker) -> dict[str, object]:
    """What the store keeps of a breaker, as a JSON object."""
    probe = breaker.probe
    return {
        "policy": breaker.policy,
        "budget": _stored_budget(breaker.budget),
        "cause": breaker.cause,
        "times": breaker.times,
        "digest": breaker.digest,
        "since": breaker.since.stored(),
        "told_nothing": None if breaker.told_nothing is None else breaker.told_nothing.stored(),
        "probe": None
        if probe is None
        else {
            "decision": decision_json(probe.decision),
            "begun": probe.begun.stored(),
            "ended": probe.ended.stored() if probe.ended is not None else None,
            "retried": None if probe.retried is None else _stored_budget(probe.retried),
        },
    }


def _stored_budget(budget: Budget) -> dict[str, object]:
    return {
        "most": budget.most,
        "per": budget.per,
        "probe_after": budget.probe_after,
        "stops": budget.stops,
        "in_vain": budget.in_vain,
    }


def breaker_restored(stored: Mapping[str, Any], carried: Callable[[Instant], Instant]) -> Breaker | None:
    """What the store remembers of a breaker; None when that can't be read."""
    try:
        since, probe = carried(_moment(stored["since"])), stored["probe"]
        told_nothing = stored.get("told_nothing")
        return Breaker(
            policy=str(stored["policy"]),
            budget=Budget(**stored["budget"]),
            cause=str(stored.get("cause", "")),
            times=int(stored["times"]),
            digest=str(stored.get("digest", "")),
            since=since,
            told_nothing=None if told_nothing is None else carried(_moment(told_nothing)),
            probe=None
            if probe is None
            else Probe(
                decision=decision_from_json(probe["decision"]),
                begun=carried(_moment(probe["begun"])),
                ended=None if probe["ended"] is None else carried(_moment(probe["ended"])),
                retried=Budget(**probe["retried"]) if probe.get("retried") else None,
            ),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _moment(stored: Mapping[str, object]) -> Instant:
    moment = Instant.restored(stored)
    if moment is None:
        raise ValueError("this is no moment")
    return moment
