"""One step of the loop: observations in, state changed, decisions made and guarded, effects out. Pure.

The async shell around it (`loop`) makes the effects durable, publishes them and carries out the actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace

from watchtower_agent.loop import announcements, settings_news
from watchtower_agent.loop.clock_watch import ClockWatch
from watchtower_agent.loop.decisions import Decisions
from watchtower_agent.loop.effects import Effects
from watchtower_agent.loop.engine_intake import EngineIntake
from watchtower_agent.loop.engine_watch import SIGNS_MISSED, EngineTold
from watchtower_agent.loop.observations import DiskTold, Observation, Told
from watchtower_agent.loop.pausing import Pausing
from watchtower_agent.loop.pipeline_options import PipelineOptions
from watchtower_agent.loop.publication import Publication
from watchtower_agent.loop.rechecking import recheck
from watchtower_agent.loop.reverting import revert
from watchtower_agent.loop.sample_watch import SampleWatch
from watchtower_agent.loop.scheduling import KIND, Scheduling
from watchtower_agent.loop.setting_off import set_off
from watchtower_agent.loop.settings_news import SettingsRejected, SettingsTaken
from watchtower_agent.loop.shared_causes import SharedCauses
from watchtower_agent.model.approval import ApprovalAnswered
from watchtower_agent.model.decision import Dropped, Held
from watchtower_agent.model.engine_event import EXEC_ACTIONS
from watchtower_agent.model.fact import AgentInfo
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import (
    ContainerObserved,
    EventsObserved,
    GapObserved,
    InspectionHung,
    InventoryObserved,
    PoliciesRejected,
    ReadingObserved,
    Resume,
    ScheduleDue,
    ServicesObserved,
    SiblingObserved,
)
from watchtower_agent.model.outcome import Intent, Outcome, Unsettled
from watchtower_agent.model.pause import PauseAsked, ResumeAsked
from watchtower_agent.model.removal import PlanAsked, PruneAsked
from watchtower_agent.model.revert import RevertAsked
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.model.shared_cause import FailureCount
from watchtower_agent.model.source import SourcesWanted
from watchtower_agent.model.trigger import TriggerAsked
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.conditions.subject import remember
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.ports.delivery import Composer
from watchtower_agent.state.averages import Averages
from watchtower_agent.state.host_state import HostState


def _tells_nothing(observation: Observation) -> bool:
    """Whether no guard can answer otherwise for it: health checks of hundreds make many such events a second."""
    return isinstance(observation, EventsObserved) and all(each.action in EXEC_ACTIONS for each in observation.events)


@dataclass(slots=True)
class Pipeline:
    """The pure heart of the agent. All of its memory is in its fields; one task drives it.

    Attributes:
        options: From the settings; mode and digest are those in force.
        composer: Makes topics and payloads.
        state: The host as it is known.
        publication: What was and will be published.
        decisions: What is wanted, waits and is under way.
        pausing: What people told to keep still.
        problems: Of the newest policy folder that could not be taken, at most a thousand; empty when it was.
        problem_count: How many there are.
    """

    options: PipelineOptions
    composer: Composer
    state: HostState = field(init=False)
    publication: Publication = field(init=False)
    decisions: Decisions = field(init=False)
    pausing: Pausing = field(init=False)
    problems: tuple[str, ...] = ()
    problem_count: int = 0
    _tick: bool = False
    _sampler: SampleWatch = field(init=False)
    _scheduling: Scheduling = field(init=False)
    _causes: SharedCauses = field(init=False)
    _engine: EngineIntake = field(init=False)
    _sources: SourcesWanted | None = None
    _asks_siblings: bool | None = None
    _clock: ClockWatch = field(init=False)

    def __post_init__(self) -> None:
        options = self.options
        self.state = HostState(options.host, averages=Averages(options.keep, options.interval))
        self.state.engine.silence_allowed = SIGNS_MISSED * max(options.ping_interval, options.interval)
        self.publication = Publication(self.composer, self.state)
        circumstances = Circumstances(protection=options.protection, shared_cause_rule=options.shared_cause)
        self.decisions = Decisions(self.state, self.publication, options.interval, circumstances=circumstances)
        self.pausing = Pausing(self.publication, circumstances.pauses, self._say)
        self._causes = SharedCauses(
            self.state,
            self.publication,
            circumstances,
            say=self._say,
            excuse=self.decisions.breaking.excuse,
        )
        self._clock = ClockWatch(self.state, self.publication)
        self._engine = EngineIntake(self.state, self.publication, self.decisions, self.pausing, self._causes)
        self._sampler = SampleWatch(options.interval, self._say)
        self._scheduling = Scheduling(self.state, self.publication, self.decisions, self._say)

    @property
    def policies(self) -> PolicySet:
        """Those in force."""
        return self.decisions.policies

    @property
    def protection(self) -> Protection:
        """What no policy may touch at present."""
        return self.decisions.circumstances.protection

    @property
    def failing(self) -> Mapping[str, str]:
        """Collector -> what it can't sample, and why."""
        return self._sampler.failing

    @property
    def hanging(self) -> Mapping[str, float]:
        """Container -> since when its inspection hangs, seconds since the epoch."""
        return self._engine.hangs.since

    def urgent(self, container_ids: Iterable[str]) -> frozenset[str]:
        """Those of them that something waits for: they were never inspected, or a decision about them is held."""
        waited_for = {waiting.decision.target.id for waiting in self.decisions.agenda.waiting.values()}
        containers = self.state.containers
        return frozenset(
            each
            for each in container_ids
            if each in waited_for or ((record := containers.get(each)) is not None and record.container.detail is None)
        )

    def failures(self, now: Instant) -> FailureCount:
        """How many containers failed lately, as the search for shared causes counts them."""
        return self._causes.count(self.policies, now)

    # --- start, and a lost store -----------------------------------------------------------------------

    def resume(self, resume: Resume, interrupted: Sequence[Intent], now: Instant) -> None:
        """Take in what the store remembers of an earlier run. Called once, before the first step."""
        self.publication.resume(resume)
        self._engine.resume(resume)
        self.decisions.resume(resume, interrupted, now, stepped=self._clock.resume(resume, now))
        self._scheduling.resume(resume.records.get(KIND, {}))
        self.pausing.resume(resume, now)
        self._causes.resume(resume, now)
        if resume.store_was_reset:
            self.state.engine.gaps += 1
            self._say(announcements.event_gap(resume.store_was_reset.gap(now.wall), now.wall), now)

    def _remember_again(self, now: Instant) -> None:
        """The store turned out to be damaged and was set aside: what the next start must know goes into the new one."""
        self._engine.remember_again(now)
        self._clock.remember_again()
        self.publication.publish_again()
        self.decisions.remember_again()
        self.decisions.scaling.remember_again(now)
        self.decisions.resizing.remember_again(now)
        self._scheduling.remember_again()
        self.pausing.remember_again()
        self._causes.remember_again()

    # --- the step -------------------------------------------------------------------------------------

    def step(
        self,
        observations: Sequence[Observation],
        now: Instant,
        *,
        ending: bool = False,
        last: bool = False,
        sampler_waits_for: str = "",
    ) -> Effects:
        """Take observations in, in their order, and say what follows from them.

        Args:
            observations: What the shell saw since the last step.
            now: The present.
            ending: The agent ends: what this step wants of the engine is not asked for any more.
            last: No step will follow: hold nothing back.
            sampler_waits_for: What holds up the sampler, where it is held up, as far as can be told.
        """
        self._look_at_clock(now, last=last)
        if ending:
            self.decisions.pruning.ends(now)
        for observation in observations:
            self._take(observation, now)
        if self._sampler.held_up(now, sampler_waits_for):
            self._go_on_without_samples(now)
        self._scheduling.run(now)
        self.pausing.look(now)
        self.decisions.look_at_approvals(now)
        self._causes.look(self.policies, now)
        self.decisions.look_at_what_was_seen(now)
        self._follow_sources()
        self.decisions.pruning.look(now)
        if self._tick:
            self.decisions.evaluate(now)
            self.decisions.look_at_strategies(now)
            self.decisions.look_at_breakers(now)
        if self._tick or self.decisions.agenda.news or not observations or not all(map(_tells_nothing, observations)):
            self.decisions.review(now)
        if self._tick:
            self.state.operator_acts_end(now.wall)
            self.state.gaps_end(now.wall)
            self.decisions.forget_cooldowns(now)
            self.decisions.resizing.forget(now)
            judgements = self.decisions.scaling.judgements(now)
            self.publication.metrics(now, self.options.interval, self.options.metrics_interval, judgements)
            self.publication.out.inspect.update(dict.fromkeys(self.decisions.to_inspect(now)))
            self._tick = False
        self.decisions.pruning.tracking.remember(now)
        self.publication.states(self._info(), now, last=last)
        return self.publication.take()

    def _look_at_clock(self, now: Instant, *, last: bool = False) -> None:
        step = self._clock.look(now, last=last)
        if step:
            self.state.operator_acts_move(step)
            self.decisions.clock_stepped(step)

    def rest(self, now: float, *, at_most: float) -> float:
        """Seconds after which a step is worth it though nothing was observed; `now` is monotonic."""
        return self.publication.rest(now, at_most=at_most)

    def recheck(self, intent: Intent, now: Instant) -> Held | Dropped | None:
        """Whether it is wanted still, and every guard once more, immediately before the write."""
        self._look_at_clock(now)
        return recheck(self.decisions, intent, now)

    def _follow_sources(self) -> None:
        """What is wanted of others: batches of other agents only where this one may come to lead the Swarm."""
        asks_siblings = bool(self.state.engine.manager())
        if self._sources is not None and asks_siblings is not self._asks_siblings:
            self._asks_siblings = asks_siblings
            self.publication.out.sources = replace(self._sources, siblings=self._sources.siblings and asks_siblings)

    def _take(self, observation: Observation, now: Instant) -> None:
        match observation:
            case EventsObserved():
                self._engine.events(observation, now)
            case SampleBatch():
                self._samples(observation, now)
            case InventoryObserved():
                self._engine.inventory(observation, now)
                self._scheduling.listed = True
            case ContainerObserved():
                self._engine.inspection(observation, now)
            case Outcome() | Unsettled():
                self.decisions.returned(observation, now)
            case PolicySet() | PoliciesRejected() | SettingsTaken() | SettingsRejected():
                self._rules(observation, now)
            case ScheduleDue():
                self._scheduling.due(observation)
            case (
                Notice()
                | PauseAsked()
                | ResumeAsked()
                | ApprovalAnswered()
                | TriggerAsked()
                | RevertAsked()
                | PlanAsked()
                | PruneAsked()
            ):
                self._told(observation, now)
            case ServicesObserved() | ReadingObserved() | SiblingObserved():
                self.state.services.apply(observation)
            case _:
                self._engine_room(observation, now)

    def _engine_room(self, seen: EngineTold | DiskTold | InspectionHung, now: Instant) -> None:
        if isinstance(seen, GapObserved) and seen.reason == "store_reset":
            self._remember_again(now)
        self._engine.told(seen, now)

    def _told(self, told: Told, now: Instant) -> None:
        match told:
            case Notice():
                self._say(told, now)
            case ApprovalAnswered():
                self.decisions.approving.take(told, now)
            case TriggerAsked():
                set_off(told, self.decisions, self._say, now)
            case RevertAsked():
                revert(told, self.decisions, self._say, now)
            case PlanAsked():
                self.decisions.prune_wishes.plan_asked(told, now)
            case PruneAsked():
                self.decisions.prune_wishes.prune_asked(told, now)
            case PauseAsked() | ResumeAsked():
                self.pausing.take(told, now)

    # --- samples ----------------------------------------------------------------------------------------

    def _samples(self, batch: SampleBatch, now: Instant) -> None:
        self.state.apply_samples(batch)
        remember(self.state, batch.at, batch.interval)
        self._tick = True
        self._sampler.heard(batch, now)

    def _go_on_without_samples(self, now: Instant) -> None:
        remember(self.state, now, self.options.interval)
        self._tick = True

    # --- policies and settings --------------------------------------------------------------------------------

    def _rules(self, seen: PolicySet | PoliciesRejected | SettingsTaken | SettingsRejected, now: Instant) -> None:
        match seen:
            case PolicySet() | PoliciesRejected():
                self._policies(seen, now)
            case SettingsTaken() | SettingsRejected():
                self._settings(seen, now)

    def _policies(self, seen: PolicySet | PoliciesRejected, now: Instant) -> None:
        if isinstance(seen, PolicySet):
            self.decisions.policies_changed(seen)
            self._scheduling.follow(seen, now)
            self.problems, self.problem_count = (), 0
            self.publication.out.demand = seen.names
            self.publication.out.services = self.decisions.scaling.swarm_services
            self._sources, self._asks_siblings = seen.sources, None
            self.state.services.keep_readings(self.decisions.scaling.readings)
            self.state.history.ask(seen.windows)
            self.publication.means = seen.means
            self._tick = True
            self._say(announcements.policies_loaded(seen, now.wall), now)
        else:
            self.problems, self.problem_count = seen.problems, seen.count
            self._say(announcements.policies_rejected(seen, now.wall, in_force=bool(self.policies.digest)), now)

    def _settings(self, seen: SettingsTaken | SettingsRejected, now: Instant) -> None:
        if isinstance(seen, SettingsTaken):
            self.options = replace(self.options, mode=seen.mode, settings_digest=seen.digest)
            circumstances = self.decisions.circumstances
            circumstances.protection, circumstances.shared_cause_rule = seen.protection, seen.shared_cause
        self._say(settings_news.told(seen), now)

    # --- publishing -------------------------------------------------------------------------------------

    def _say(self, notice: Notice, now: Instant) -> None:
        self.decisions.say(notice, now)

    def _info(self) -> AgentInfo:
        return AgentInfo(
            policies={policy.name: policy.mode.value for policy in self.policies.policies},
            policies_digest=self.policies.digest,
            settings_digest=self.options.settings_digest,
            last_sequence=self.publication.sequence,
            mode=self.options.mode,
        )
