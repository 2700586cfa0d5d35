"""What one step of the pipeline wants of the world, gathered while it decides. Pure."""

from __future__ import annotations

from dataclasses import field

from watchtower_agent.model.commit import Commit, Record
from watchtower_agent.model.engine_event import Cursor
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.message import EventMessage, MetricsMessage, StateMessage
from watchtower_agent.model.outcome import Intent, Outcome
from watchtower_agent.model.removal import Look, Removal, Retagging
from watchtower_agent.model.sample import LocalEngine, SampleTarget
from watchtower_agent.model.source import SourcesWanted
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.timetable import Timed


@dataclass(slots=True)
class Effects:
    """What has to happen after one step, in this order: commit, then publish, act, inspect, sample.

    Attributes:
        facts: Everything that happened, for the log.
        cursor: The last engine event handled.
        event_ids: Ids of the engine events handled.
        events: Messages about the facts, in order.
        states: Retained topics that changed.
        intents: Actions to be carried out once they are durable.
        intents_again: Actions under way whose ledger row was lost with the store.
        told: Notifications: intent and outcome in one, nothing to carry out.
        outcomes: Actions that ended.
        records: Remembered state that changed.
        inspect: Containers to ask the engine about.
        watch: The containers to sample from now on; None when they are the same as before.
        demand: Catalogue names that the policies need at every tick; None when that did not change.
        timetable: The scheduled policies in force, and up to when their runs are settled; None when they are the same.
        services: Names of the Swarm's services that policies scale; None when they are the same.
        sources: What is wanted of others than this host; None when that is the same.
        look: How closely the engine is to be asked what it keeps on its disk; None: it is not.
        removals: What the engine is to be asked to delete, once that is durable.
        retaggings: Images that are to be given back tags which they lost.
        begun: Actions that the loop carries out itself, one removal after the other: nothing for the executor.
        look_again: What the Swarm says of them has most likely changed.
        engine: What of the engine can be watched on this host; None when that did not change.
        anew: Containers whose limits and counter of OOM kills should be read at the next tick.
        metrics: Worthless later.
    """

    facts: list[Fact] = field(default_factory=list)
    cursor: Cursor | None = None
    event_ids: list[str] = field(default_factory=list)
    events: list[EventMessage] = field(default_factory=list)
    states: list[StateMessage] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    intents_again: list[Intent] = field(default_factory=list)
    told: list[Intent] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    inspect: dict[str, None] = field(default_factory=dict)
    watch: tuple[SampleTarget, ...] | None = None
    demand: frozenset[str] | None = None
    timetable: tuple[Timed, ...] | None = None
    services: frozenset[str] | None = None
    sources: SourcesWanted | None = None
    look: Look | None = None
    removals: list[Removal] = field(default_factory=list)
    retaggings: list[Retagging] = field(default_factory=list)
    begun: list[Intent] = field(default_factory=list)
    look_again: bool = False
    engine: LocalEngine | None = None
    anew: list[str] = field(default_factory=list)
    metrics: list[MetricsMessage] = field(default_factory=list)

    def commit(self) -> Commit:
        """All that has to be durable before anything of this step leaves the process."""
        return Commit(
            cursor=self.cursor,
            event_ids=tuple(self.event_ids),
            events=tuple(self.events),
            states=tuple(self.states),
            intents=(*self.intents_again, *self.told, *self.begun, *self.intents),
            outcomes=tuple(self.outcomes),
            records=tuple(self.records),
        )
