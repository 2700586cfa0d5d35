"""The composition root: builds every part, starts and stops them in order, and notices when one ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable, Sequence

import structlog

from watchtower_agent.actions.disk import Disk
from watchtower_agent.actions.executor import Executor
from watchtower_agent.answers import Answers
from watchtower_agent.assembly import (
    engine_address,
    engine_unit,
    home_assistant_of,
    http_server_of,
    publisher_to,
    sampler_of,
    shared_cause_rule,
)
from watchtower_agent.clock import SystemClock, monotonic
from watchtower_agent.collectors.files import demand_descriptors
from watchtower_agent.collectors.sampler import Sampler
from watchtower_agent.collectors.space import measure
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.engine.inventory import Inventory
from watchtower_agent.engine.service_watch import ServiceWatch
from watchtower_agent.engine.session import EngineSession, SessionTiming
from watchtower_agent.errors import FatalError, TemporaryError
from watchtower_agent.identity import protection, settled_host, surroundings_of
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.lag import TimedSelector
from watchtower_agent.loop.loop import Loop
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.loop.pipeline_options import PipelineOptions
from watchtower_agent.loop.turns import Turns
from watchtower_agent.model.decision import Severity
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import GapObserved, Resume
from watchtower_agent.model.outcome import Intent
from watchtower_agent.model.version import VERSION
from watchtower_agent.monitoring import Monitoring
from watchtower_agent.parts import Parts
from watchtower_agent.policy_folder import PolicyFolder
from watchtower_agent.publishing.cloudevent import CloudEventComposer
from watchtower_agent.publishing.outbox import NoBroker, OutboxPublisher
from watchtower_agent.publishing.topics import Topics
from watchtower_agent.reloading import Reloading
from watchtower_agent.schedules import Schedules
from watchtower_agent.service import listen_once_policies_are_read, on_hangup, serve_as_service
from watchtower_agent.service_manager import of_this_process
from watchtower_agent.serving.commands import Commands
from watchtower_agent.serving.control import ControlServer
from watchtower_agent.serving.counts import Counts
from watchtower_agent.serving.followers import Followers
from watchtower_agent.settings import LoadedSettings, Settings, settings_digest
from watchtower_agent.settings.in_force import SettingsInForce
from watchtower_agent.sources.sources import Sources
from watchtower_agent.state.totals import Totals
from watchtower_agent.storage import SqliteStore
from watchtower_agent.storage.gaps import DeadLetters, OutboxDrop
from watchtower_agent.tasks import Tasks

log = structlog.get_logger("watchtower_agent")

_ACTIONS_MAY_TAKE = 15.0
_DRAIN_MAY_TAKE = 5.0
"""Seconds that the end of the agent waits: for actions under way, then for the broker. What is left is on disk."""
_STORE_WAITS = 5.0
"""Seconds between tries to open the store on a disk that is full."""


def run(loaded: LoadedSettings, read: Callable[[], LoadedSettings]) -> int:
    """Run the agent until SIGTERM or SIGINT.

    Args:
        loaded: The configuration.
        read: Reads it anew, from where it came.

    Returns:
        The process's exit code: 0 after an orderly end, 1 when it could not start or go on.
    """
    # What is loaded by now stays for ever: a collection that looks at all of it would hold up a decision for 20 ms.
    gc.freeze()
    gc.enable()
    try:
        demand_descriptors()
        selector = TimedSelector(monotonic)
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            return runner.run(Agent(loaded, read, selector.turns).run())
    except FatalError as error:
        log.critical("agent_can_not_go_on", error=str(error))
        return 1


class Agent:
    """All parts of one agent, from start to end.

    Args:
        loaded: The configuration.
        read: Reads it anew.
        turns: Of the event loop that it runs on.
    """

    def __init__(self, loaded: LoadedSettings, read: Callable[[], LoadedSettings], turns: Turns) -> None:
        self._loaded = loaded
        self._read = read
        self._in_force = SettingsInForce(loaded.settings)
        self._turns = turns
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._ended: str = ""
        self._service = of_this_process()

    async def run(self) -> int:
        """Build, start, wait for the signal to end, end."""
        self._log_start()
        self._listen_to_signals()
        inbox = Inbox()
        store = SqliteStore(
            self._settings.state_dir,
            clock=self._clock,
            max_size=self._settings.outbox.max_size,
            on_dropped=lambda drop: inbox.put(_gap_of(drop)),
            on_buried=lambda letters: inbox.put(_gap_of_dead(letters)),
            on_reset=lambda reset: inbox.put(reset.gap(self._clock.now().wall)),
        )
        if not await self._opened(store):
            return 0
        try:
            resume, interrupted = await store.load(), await store.open_intents()
            return await self._with_store(inbox, store, resume, interrupted)
        finally:
            await store.close()

    async def _opened(self, store: SqliteStore) -> bool:
        """Whether the store could be opened before the agent was told to end. A full disk is waited for."""
        while not self._stop.is_set():
            try:
                await store.open()
            except TemporaryError as error:
                log.warning("store_not_ready", error=str(error), consequence="the agent starts once it works")
                self._service.waits_for("the state folder", _STORE_WAITS)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _STORE_WAITS)
            else:
                return True
        return False

    async def _with_store(self, inbox: Inbox, store: SqliteStore, resume: Resume, interrupted: Sequence[Intent]) -> int:
        self._in_force.settings = settled_host(self._loaded, resume)
        settings, clock = self._settings, self._clock
        address, timing = engine_address(settings), SessionTiming()
        log.info("engine_address", url=address.url, source=address.source)
        composer = CloudEventComposer(
            host=settings.host,
            install_id=resume.install_id,
            base_topic=settings.mqtt.base_topic,
            labels=settings.mqtt.labels,
            exec_events=settings.mqtt.exec_events,
            per_container=settings.mqtt.metrics.per_container,
            home_assistant=home_assistant_of(settings),
        )
        pipeline = Pipeline(
            PipelineOptions(
                host=settings.host,
                mode=settings.mode,
                interval=settings.sampling.interval,
                ping_interval=timing.ping_every,
                metrics_interval=settings.mqtt.metrics.interval,
                keep=settings.sampling.history,
                protection=await protection(settings, address.url),
                shared_cause=shared_cause_rule(settings),
                settings_digest=settings_digest(settings),
            ),
            composer,
        )
        pipeline.resume(resume, interrupted, clock.now())
        calls = EngineCalls(address, clock=clock, timeout=settings.engine.timeout)
        engine = DockerEngine(calls, clock=clock)
        session = EngineSession(
            calls=calls,
            clock=clock,
            sink=inbox.put,
            cursor=resume.cursor,
            recent_event_ids=resume.recent_event_ids,
            timing=timing,
        )
        inbox.on_overflow = session.resync
        inventory = Inventory(calls=calls, clock=clock, sink=inbox.put, position=lambda: session.position)
        totals, counts = Totals(pipeline.state.containers.__contains__), Counts()
        takers = (inbox.put,) if settings.http.listen is None else (inbox.put, totals.take)
        sampler = sampler_of(settings, takers, calls, clock)
        schedules = Schedules(clock, inbox.put)
        services = ServiceWatch(calls=calls, clock=clock, sink=inbox.put, manager=pipeline.state.engine.manager)
        publisher = publisher_to(settings, store, clock)
        sources = Sources(
            subscriber=publisher,
            base_topic=settings.mqtt.base_topic,
            host=settings.host,
            clock=clock,
            sink=inbox.put,
        )
        followers = Followers()
        executor = Executor(engine, clock, recheck=pipeline.recheck, done=inbox.put, unit=engine_unit(settings, calls))
        disk = Disk(engine, measure=lambda: measure(_data_root(pipeline)), sink=inbox.put)
        loop = Loop(
            pipeline=pipeline,
            inbox=inbox,
            store=store,
            publisher=publisher,
            executor=executor,
            inspections=inventory,
            sampling=sampler,
            schedules=schedules,
            services=services,
            sources=sources,
            disk=disk,
            clock=clock,
            interval=settings.sampling.interval,
            metrics_interval=settings.mqtt.metrics.interval,
            committed=followers.committed,
            told=counts.told,
        )
        folder = PolicyFolder(settings.policies, clock, inbox.put, inbox.put, surroundings_of(settings, address.url))
        http = http_server_of(settings)
        parts = Parts(
            configuration=self._in_force,
            clock=clock,
            started=clock.now(),
            turns=self._turns,
            pipeline=pipeline,
            loop=loop,
            store=store,
            publisher=publisher,
            sampler=sampler,
            session=session,
            disk=disk,
            http=http,
        )
        monitoring = Monitoring(parts=parts, executor=executor, totals=totals, counts=counts)
        answers = Answers(parts=parts, folder=folder, followers=followers)
        control = ControlServer(answers, settings.control.socket, mode=int(settings.control.mode, 8))
        topics = Topics(base=settings.mqtt.base_topic, host=settings.host)
        commands = Commands(
            answers,
            publisher,
            allowed=settings.mqtt.commands,
            topics=(topics.commands, topics.replies),
            clock=clock,
        )
        commands.listen()
        inbox.put(self._notice("started", f"watchtower-agent {VERSION} started"))
        reloading = Reloading(
            in_force=self._in_force,
            read=self._read,
            engine_url=address.url,
            clock=clock,
            sink=inbox.put,
            pipeline=pipeline,
            folder=folder,
            composer=composer,
            http=http,
        )
        on_hangup(reloading, folder, self._service, parts)
        await control.start()
        sampler.start()
        tasks = Tasks(self._stop)
        for name, work in {
            "loop": loop.run(),
            "policy folder": folder.run(),
            "schedules": schedules.run(),
            "engine session": listen_once_policies_are_read(folder, session),
            "inventory": inventory.run(),
            "services": services.run(),
            "sources": sources.run(),
            "commands": commands.run(),
            "publisher": publisher.run(),
            "http": http.run(monitoring) if http is not None else _nothing(self._stop),
            "service": serve_as_service(self._service, folder, parts),
        }.items():
            tasks.start(work, name)
        try:
            await self._stop.wait()
        finally:
            await self._shut_down(tasks, loop, inbox, sampler, executor, disk, publisher, control)
            engine.close()
            calls.close()
        return 1 if tasks.failed else 0

    async def _shut_down(
        self,
        tasks: Tasks,
        loop: Loop,
        inbox: Inbox,
        sampler: Sampler,
        executor: Executor,
        disk: Disk,
        publisher: OutboxPublisher | NoBroker,
        control: ControlServer,
    ) -> None:
        """Stop taking events in, let actions end, tell the broker what is left to tell, say farewell."""
        log.info("agent_ends", actions_under_way=executor.under_way)
        self._service.stopping()
        await tasks.cancel("service")
        await control.close()
        await tasks.cancel("http")
        await tasks.cancel("commands")
        await tasks.cancel("engine session")
        await tasks.cancel("inventory")
        await tasks.cancel("services")
        await tasks.cancel("sources")
        await tasks.cancel("policy folder")
        await tasks.cancel("schedules")
        await asyncio.to_thread(sampler.stop)
        loop.stop()
        await tasks.wait("loop")
        await asyncio.gather(executor.finish(within=_ACTIONS_MAY_TAKE), disk.finish(within=_ACTIONS_MAY_TAKE))
        inbox.put(self._notice("stopping", "watchtower-agent was told to end"))
        if not tasks.failed:
            await loop.drain()
        await publisher.drain(_DRAIN_MAY_TAKE)
        await tasks.cancel("publisher")
        log.info("agent_stopped")

    @property
    def _settings(self) -> Settings:
        """Those in force."""
        return self._in_force.settings

    # --- words ------------------------------------------------------------------------------------------------------

    def _log_start(self) -> None:
        log.info(
            "agent_starting",
            version=VERSION,
            host=self._settings.host,
            mode=self._settings.mode,
            configuration=self._loaded.source,
            policies=str(self._settings.policies),
            state_dir=str(self._settings.state_dir),
        )

    def _notice(self, action: str, reason: str) -> Notice:
        return Notice(
            kind=EventKind.AGENT,
            action=action,
            severity=Severity.INFO,
            reason=reason,
            data={"version": VERSION, "mode": self._settings.mode},
            at=self._clock.now().wall,
        )

    def _listen_to_signals(self) -> None:
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self._stop.set)


def _gap_of(drop: OutboxDrop) -> GapObserved:
    return GapObserved(reason="outbox_overflow", since=drop.since, until=drop.until, count=drop.count)


def _gap_of_dead(letters: DeadLetters) -> GapObserved:
    return GapObserved(
        reason="dead_letter",
        since=letters.since,
        until=letters.until,
        count=letters.count,
        sequences=letters.sequences,
    )


async def _nothing(stop: asyncio.Event) -> None:
    """What is not wanted is not done."""
    await stop.wait()


def _data_root(pipeline: Pipeline) -> str:
    """Where the engine keeps its data, if that is a disk of this host; else empty."""
    engine = pipeline.state.engine
    return "" if engine.info is None or engine.elsewhere else engine.info.data_root
