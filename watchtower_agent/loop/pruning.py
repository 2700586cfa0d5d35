"""Pruning the engine's disk: plans become passes, and what an earlier run began is found out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final

from watchtower_agent.loop.looks import Looks
from watchtower_agent.loop.prune_pass import PrunePass, outcome_of
from watchtower_agent.loop.prune_planning import PrunePlanning
from watchtower_agent.loop.publication import Publication
from watchtower_agent.loop.tags_owed import TagsOwed
from watchtower_agent.loop.use_tracking import UseTracking
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision, Held, Mode, Verb
from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Intent, Outcome
from watchtower_agent.model.removal import DiskListed, DiskUnlisted, Kind, Look, Removal, Removed
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.passes import Unlisted
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.pruned import plan_of
from watchtower_agent.policies.pruning.course import Course, Ending
from watchtower_agent.policies.pruning.interruption import restored, stored
from watchtower_agent.state.host_state import HostState

COURSE: Final = "prune"
PASSES: Final = "passes"
"""Of the records that the store keeps: how far a pass has come, and when there were passes."""
_OURS: Final = frozenset({"delete", "untag", "destroy", "remove"})
"""What the engine tells of what it was asked to delete."""
_OURS_FOR: Final = 360.0
"""Seconds from asking within which it does."""
_LOOK_LASTS: Final = 90.0
"""Seconds from asking after which a look is out of date: an engine may take a minute for it, a full disk for ever."""
_LIST_AGAIN: Final = 60.0
"""Seconds after which the engine is asked again where it did not tell what it keeps."""


@dataclass(slots=True)
class Pruning:
    """Everything about what is pruned.

    Attributes:
        state: The host.
        publication: Where effects of the step go.
        guarded: What holds for the host as a whole: when there were passes, and what stands against one, for the
            guards; what no policy may touch.
        say: Publishes a notice.
        stops: What stands against going on with a pass, asked between two of its objects.
        ended: Takes the outcome of a pass.
        tracking: When everything was last used.
        planning: Makes plans, and has those that are alive.
        owed: Tags that images are to be given back.
        under_way: The pass under way; None: there is none.
        last: Policy -> how its last pass in this run of the agent ended.
    """

    state: HostState
    publication: Publication
    guarded: Circumstances
    say: Callable[[Notice, Instant], None]
    stops: Callable[[Decision, Instant], Held | None]
    ended: Callable[[Outcome, Instant], None]
    tracking: UseTracking = field(init=False)
    planning: PrunePlanning = field(init=False)
    owed: TagsOwed = field(init=False)
    under_way: PrunePass | None = None
    last: dict[str, Outcome] = field(default_factory=dict)
    _looks: Looks = field(init=False)
    _interrupted: list[tuple[Intent, Course]] = field(default_factory=list)
    """Passes that an earlier run began."""
    _asked: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Id of what the engine was asked to delete -> correlation id, and until when that explains its end; monotonic."""
    _ends: bool = False
    """The agent ends."""

    def __post_init__(self) -> None:
        self.tracking = UseTracking(self.state, self.publication)
        self.planning = PrunePlanning(self.state, self.guarded, self.say, self.tracking)
        self._looks = Looks(self.publication)
        self.owed = TagsOwed(self.publication)

    def resume(self, resume: Resume, interrupted: Sequence[Intent], now: Instant) -> None:
        """Take in what the store remembers of an earlier run, and which passes it began."""
        self.tracking.resume(resume, now)
        self.owed.resume(resume)
        boots = Boots.restored(resume.records.get("clock", {}), now)
        for policy, known in resume.records.get(PASSES, {}).items():
            self.guarded.passes.by[policy] = list(_passes_from(known, boots, now))
        courses = resume.records.get(COURSE, {})
        for intent in interrupted:
            if intent.decision.verb is Verb.PRUNE:
                course = restored(courses.get(intent.decision.policy, {}))
                if course is None or course.id != intent.decision.id:
                    course = Course(id=intent.decision.id, ending=Ending.INTERRUPTED)
                self._interrupted.append((intent, course))

    def follow(self, policies: PolicySet) -> None:
        """From now on these are in force."""
        prunes = [each for each in policies.policies if each.prune is not None and each.mode is not Mode.OFF]
        self.planning.follow({each.name: each for each in prunes})
        # What is off may come back: what was seen of use meanwhile is not forgotten.
        self.tracking.follow(prunes=any(each.prune is not None for each in policies.policies))
        self.last = {name: each for name, each in self.last.items() if name in self.planning.policies}

    @property
    def pruning(self) -> tuple[str, ...]:
        """Names of the policies that prune."""
        return tuple(self.planning.policies)

    def want_plans(self) -> None:
        """Some wish waits for its plan, and no guard stands against it."""
        if not self._interrupted and self.under_way is None and not self._looks.is_asked(Look.SIZES):
            self._looks.want(Look.SIZES)

    # --- what the engine tells ------------------------------------------------------------------------

    def listed(self, seen: DiskListed, now: Instant, *, by_hand: bool = False) -> None:
        """What there is on the disk.

        Args:
            seen: The listing.
            now: The present.
            by_hand: A person asked, and no look of ours waits for it.
        """
        number = 0 if by_hand else self._looks.answered()
        self.guarded.passes.unlisted = None
        self.tracking.listed(seen, now)
        self.owed.listed(seen.disk, now)
        self._settle(seen.disk, now)
        going = self.under_way
        if going is not None and going.look and number >= going.look:
            if now.wall - seen.disk.at < _LOOK_LASTS or going.plan.is_over(now):
                going.listed(seen.disk, seen.space, now)
                self._go_on(going, now)
            else:
                going.look = self._looks.want(Look.NAMES)

    def unlisted(self, seen: DiskUnlisted, now: Instant) -> None:
        """The engine did not tell what there is."""
        number = self._looks.answered()
        self.tracking.unlisted(now)
        self.guarded.passes.unlisted = Unlisted(reason=seen.reason, until=now.monotonic + _LIST_AGAIN)
        going = self.under_way
        if going is not None and going.look and number >= going.look:
            going.look = 0
            going.stop(f"the engine does not tell what it keeps: {seen.reason}")
            self._go_on(going, now)

    def removed(self, seen: Removed, now: Instant) -> None:
        """What came of one removal."""
        self.owed.removed(seen, now)
        going = self.under_way
        if going is not None:
            going.removed(seen, now)
            self._go_on(going, now)

    def caused(self, event: EngineEvent, now: Instant) -> str:
        """The correlation id of the pass that has caused an event; empty where none did."""
        if event.action not in _OURS or event.actor_id not in self._asked:
            return ""
        correlation, until = self._asked[event.actor_id]
        return correlation if now.monotonic < until else ""

    # --- a pass ---------------------------------------------------------------------------------------

    def begins(self, intent: Intent, now: Instant) -> None:
        """A pass may be carried out."""
        decision = intent.decision
        known, policy = self.planning.plans.by.pop(plan_of(decision), None), self.planning.policies.get(decision.policy)
        usage = self.tracking.usage
        self.guarded.passes.began(decision.policy, decision.id, now)
        self._remember_passes(decision.policy)
        if known is None or policy is None or policy.prune is None or usage is None:
            course = Course(id=decision.id, ending=Ending.STOPPED, reason="its plan is gone")
            self._ended(outcome_of(intent, course, None, now), now)
            return
        self.under_way = PrunePass(intent=intent, strategy=policy.prune, plan=known.plan, disk=known.disk, usage=usage)
        self._remember(decision.policy, Course(id=decision.id))
        self.under_way.look = self._looks.want(Look.NAMES)

    def look(self, now: Instant) -> None:
        """See whether it is time for a listing, and whether something stands against the pass under way."""
        going = self.under_way
        if going is not None and not going.is_asking and not going.look:
            self._go_on(going, now)
        needed = any(course.attempt is not None for _, course in self._interrupted)
        refused = self.guarded.passes.unlisted
        may_ask = self.state.engine.listed and (refused is None or now.monotonic >= refused.until)
        due = self.tracking.is_due(now) or ((needed or self.owed.is_due(now)) and may_ask)
        if due and not self._looks.is_asked(Look.NAMES):
            self._looks.want(Look.NAMES)
        if self._interrupted and not needed:
            self._settle(DiskUsage(at=now.wall), now)

    def ends(self, now: Instant) -> None:
        """The agent ends, and with it the pass under way. While the engine is at it, its answer is waited for.

        If none comes before the agent has ended, the next run finds out.
        """
        self._ends = True
        going = self.under_way
        if going is not None and not going.is_asking:
            self._go_on(going, now)

    def _go_on(self, going: PrunePass, now: Instant) -> None:
        decision = going.intent.decision
        if going.is_asking:
            return
        if not going.is_over and (why := self._stop_reason(going, now)):
            going.stop(why)
        asked = None if going.is_over else going.next(self.planning.circumstances(decision, now), now)
        self._tell(going, now)
        if asked is None:
            self._end(going, now)
        elif isinstance(asked, Removal):
            self._remember(decision.policy, going.course)
            self.owed.begins(asked)
            self.publication.out.removals.append(asked)
            until = now.monotonic + _OURS_FOR
            self._asked = {each: known for each, known in self._asked.items() if known[1] > now.monotonic}
            self._asked[asked.id] = (decision.correlation_id, until)
        else:
            going.look = self._looks.want(Look.NAMES)

    def _stop_reason(self, going: PrunePass, now: Instant) -> str:
        if self._ends:
            return "the agent ends"
        policy = self.planning.policies.get(going.intent.decision.policy)
        if policy is None or policy.prune != going.strategy:
            return f"policy {going.intent.decision.policy} is not in force any more, or was changed"
        held = self.stops(going.intent.decision, now)
        return held.reason if held is not None else ""

    def _end(self, going: PrunePass, now: Instant) -> None:
        outcome = going.outcome(now)
        self._tell(going, now)
        self.under_way = None
        self._remember(outcome.decision.policy, None)
        self._ended(outcome, now)

    def _ended(self, outcome: Outcome, now: Instant) -> None:
        self.last[outcome.decision.policy] = outcome
        self.planning.plans.carried_out(outcome.decision)
        self.ended(outcome, now)

    def _tell(self, going: PrunePass, now: Instant) -> None:
        told, going.told = going.told, []
        for notice in told:
            self.say(notice, now)

    # --- what an earlier run began ----------------------------------------------------------------------

    def _settle(self, disk: DiskUsage, now: Instant) -> None:
        """Tell what became of the passes that an earlier run began, by what there is."""
        interrupted, self._interrupted = self._interrupted, []
        for intent, course in interrupted:
            attempt = course.attempt
            gone = (
                None
                if attempt is None or attempt.kind is Kind.CACHE
                else attempt.id not in set(_ids(disk, attempt.kind))
            )
            self._remember(intent.decision.policy, None)
            self._ended(outcome_of(intent, course.settled(gone=gone), None, now), now)

    # --- remembered -----------------------------------------------------------------------------------

    def remember_again(self) -> None:
        """The store was lost while running."""
        self.tracking.remember_again()
        self.owed.remember_again()
        for policy in self.guarded.passes.by:
            self._remember_passes(policy)
        if self.under_way is not None:
            self._remember(self.under_way.intent.decision.policy, self.under_way.course)

    def _remember(self, policy: str, course: Course | None) -> None:
        value = None if course is None else stored(course)
        self.publication.out.records.append(Record(kind=COURSE, key=policy, value=value))

    def _remember_passes(self, policy: str) -> None:
        begun = [{"decision": each, **at.stored()} for each, at in self.guarded.passes.by.get(policy, [])]
        self.publication.out.records.append(Record(kind=PASSES, key=policy, value={"begun": begun}))


def _passes_from(known: Mapping[str, object], boots: Boots, now: Instant) -> Iterator[tuple[str, Instant]]:
    """The passes of a policy as an earlier run stored them; what can't be read is left out."""
    begun = known.get("begun")
    for each in begun if isinstance(begun, list) else ():
        at = Instant.restored(each) if isinstance(each, Mapping) else None
        if at is not None:
            yield str(each.get("decision", "")), boots.carried(at, now)


def _ids(disk: DiskUsage, kind: Kind) -> Iterator[str]:
    """What there is of that kind."""
    match kind:
        case Kind.IMAGE:
            yield from (each.id for each in disk.images)
        case Kind.CONTAINER:
            yield from (each.id for each in disk.containers)
        case Kind.NETWORK:
            yield from (each.id for each in disk.networks)
        case Kind.VOLUME:
            yield from (each.name for each in disk.volumes)
        case Kind.CACHE:
            yield from (each.id for each in disk.cache)
