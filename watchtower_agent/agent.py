"""The composition root: builds every part, starts and stops them in order, and notices when one ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Coroutine, Sequence

import structlog

from watchtower_agent import __version__
from watchtower_agent.actions.executor import Executor
from watchtower_agent.answers import Answers, Followers
from watchtower_agent.clock import SystemClock, monotonic
from watchtower_agent.collectors.reader import Reader
from watchtower_agent.collectors.request import Source
from watchtower_agent.collectors.sampler import Sampler
from watchtower_agent.engine.address import EngineAddress, TlsFiles, resolve_address
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.engine.inventory import Inventory
from watchtower_agent.engine.session import EngineSession, SessionTiming
from watchtower_agent.errors import FatalError, TemporaryError
from watchtower_agent.identity import protection, settled_host, surroundings_of
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.lag import TimedSelector
from watchtower_agent.loop.loop import Loop
from watchtower_agent.loop.pipeline import Pipeline, PipelineOptions
from watchtower_agent.loop.turns import Turns
from watchtower_agent.model.decision import Severity
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import GapObserved, Resume
from watchtower_agent.model.outcome import Intent
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.policy_folder import PolicyFolder
from watchtower_agent.publishing.broker_options import MqttOptions, MqttProtocol
from watchtower_agent.publishing.cloudevent import CloudEventComposer
from watchtower_agent.publishing.link import MqttLink
from watchtower_agent.publishing.outbox import NoBroker, OutboxPublisher
from watchtower_agent.schedules import Schedules
from watchtower_agent.serving.control import ControlServer
from watchtower_agent.settings import LoadedSettings, Settings, settings_digest
from watchtower_agent.storage import SqliteStore
from watchtower_agent.storage.gaps import OutboxDrop

log = structlog.get_logger("watchtower_agent")

_ACTIONS_MAY_TAKE = 15.0
_DRAIN_MAY_TAKE = 5.0
"""Seconds that the end of the agent waits: for actions under way, then for the broker. What is left is on disk."""
_POLICIES_MAY_TAKE = 10.0
"""Seconds that the engine is not listened to at the start until the policies were read. A folder that hangs then does
not keep the agent deaf: it publishes, and acts once there are policies."""


def run(loaded: LoadedSettings) -> int:
    """Run the agent until SIGTERM or SIGINT.

    Returns:
        The process's exit code: 0 after an orderly end, 1 when it could not start or go on.
    """
    # What is loaded by now stays for ever: a collection that looks at all of it would hold up a decision for 20 ms.
    gc.freeze()
    gc.enable()
    try:
        selector = TimedSelector(monotonic)
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            return runner.run(Agent(loaded, selector.turns).run())
    except FatalError as error:
        log.critical("agent_can_not_go_on", error=str(error))
        return 1


class Agent:
    """All parts of one agent, from start to end; `turns` are those of the event loop that it runs on."""

    def __init__(self, loaded: LoadedSettings, turns: Turns) -> None:
        self._loaded = loaded
        self._settings: Settings = loaded.settings
        self._turns = turns
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._ended: str = ""

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
            on_reset=lambda _why: inbox.put(self._reset()),
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
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), 5.0)
            else:
                return True
        return False

    async def _with_store(self, inbox: Inbox, store: SqliteStore, resume: Resume, interrupted: Sequence[Intent]) -> int:
        self._settings = settled_host(self._loaded, resume)
        settings, clock = self._settings, self._clock
        address, timing = self._engine_address(), SessionTiming()
        log.info("engine_address", url=address.url, source=address.source)
        composer = CloudEventComposer(
            host=settings.host,
            install_id=resume.install_id,
            base_topic=settings.mqtt.base_topic,
            labels=settings.mqtt.labels,
            exec_events=settings.mqtt.exec_events,
            metrics_interval=settings.mqtt.metrics.interval,
            per_container=settings.mqtt.metrics.per_container,
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
                shared_cause=_shared_cause(settings),
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
        sampler = self._sampler(inbox, calls)
        schedules = Schedules(clock, inbox.put)
        publisher = self._publisher(store)
        followers = Followers()
        executor = Executor(engine, clock, recheck=pipeline.recheck, done=inbox.put)
        loop = Loop(
            pipeline=pipeline,
            inbox=inbox,
            store=store,
            publisher=publisher,
            executor=executor,
            inspections=inventory,
            sampling=sampler,
            schedules=schedules,
            clock=clock,
            interval=settings.sampling.interval,
            metrics_interval=settings.mqtt.metrics.interval,
            committed=followers.committed,
        )
        folder = PolicyFolder(settings.policies, clock, inbox.put, inbox.put, surroundings_of(settings, address.url))
        answers = Answers(
            settings=settings,
            clock=clock,
            started=clock.now(),
            turns=self._turns,
            pipeline=pipeline,
            loop=loop,
            store=store,
            publisher=publisher,
            sampler=sampler,
            session=session,
            folder=folder,
            followers=followers,
        )
        control = ControlServer(answers, settings.control.socket, mode=int(settings.control.mode, 8))
        inbox.put(self._notice("started", f"watchtower-agent {__version__} started"))
        _on_hangup(folder)
        await control.start()
        sampler.start()
        tasks = _Tasks(self._stop)
        tasks.start(loop.run(), "loop")
        tasks.start(folder.run(), "policy folder")
        tasks.start(schedules.run(), "schedules")
        tasks.start(_once_policies_are_read(folder, session), "engine session")
        tasks.start(inventory.run(), "inventory")
        tasks.start(publisher.run(), "publisher")
        try:
            await self._stop.wait()
        finally:
            await self._shut_down(tasks, loop, inbox, sampler, executor, publisher, control)
            engine.close()
            calls.close()
        return 1 if tasks.failed else 0

    async def _shut_down(
        self,
        tasks: _Tasks,
        loop: Loop,
        inbox: Inbox,
        sampler: Sampler,
        executor: Executor,
        publisher: OutboxPublisher | NoBroker,
        control: ControlServer,
    ) -> None:
        """Stop taking events in, let actions end, tell the broker what is left to tell, say farewell."""
        log.info("agent_ends", actions_under_way=executor.under_way)
        await control.close()
        await tasks.cancel("engine session")
        await tasks.cancel("inventory")
        await tasks.cancel("policy folder")
        await tasks.cancel("schedules")
        await asyncio.to_thread(sampler.stop)
        loop.stop()
        await tasks.wait("loop")
        await executor.finish(within=_ACTIONS_MAY_TAKE)
        inbox.put(self._notice("stopping", "watchtower-agent was told to end"))
        if not tasks.failed:
            await loop.drain()
        await publisher.drain(_DRAIN_MAY_TAKE)
        await tasks.cancel("publisher")
        log.info("agent_stopped")

    # --- parts ------------------------------------------------------------------------------------------------------

    def _engine_address(self) -> EngineAddress:
        engine = self._settings.engine
        given = engine.tls.ca or engine.tls.cert
        tls = TlsFiles(ca=engine.tls.ca, cert=engine.tls.cert, key=engine.tls.key) if given else None
        return resolve_address(engine.url, tls, environment=os.environ)

    def _sampler(self, inbox: Inbox, calls: EngineCalls) -> Sampler:
        sampling = self._settings.sampling
        source = Source(sampling.source)
        if source is Source.AUTO and not calls.address.socket_path:
            source = Source.STATS_API  # an engine elsewhere: the cgroups here are not its containers'
        reader = Reader(
            clock=self._clock,
            interval=sampling.interval,
            cgroup_root=str(sampling.cgroup_root),
            proc_root=str(sampling.proc_root),
            source=source,
            ask=calls.stats,
        )
        running = asyncio.get_running_loop()

        def deliver(batch: SampleBatch) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody needs the tick any more
                running.call_soon_threadsafe(inbox.put, batch)

        return Sampler(reader=reader, deliver=deliver)

    def _publisher(self, store: SqliteStore) -> OutboxPublisher | NoBroker:
        mqtt = self._settings.mqtt
        if mqtt.url is None:
            log.warning("no_broker", consequence="events go to the log and stay in the outbox file")
            return NoBroker()
        options = MqttOptions(
            url=mqtt.url,
            host=self._settings.host,
            client_id=mqtt.client_id,
            base_topic=mqtt.base_topic,
            username=mqtt.username,
            password=mqtt.password.get_secret_value() if mqtt.password else None,
            protocol=MqttProtocol(mqtt.protocol),
            tls_ca=mqtt.tls.ca,
            tls_cert=mqtt.tls.cert,
            tls_key=mqtt.tls.key,
        )
        link = MqttLink(
            options,
            on_up=lambda sentence: log.info("mqtt_up", what=sentence),
            on_down=lambda sentence: log.warning("mqtt_down", what=sentence),
            on_alarm=lambda name, sentence: log.error("mqtt_alarm", alarm=name, what=sentence),
        )
        return OutboxPublisher(store, link, clock=self._clock)

    # --- words ------------------------------------------------------------------------------------------------------

    def _log_start(self) -> None:
        log.info(
            "agent_starting",
            version=__version__,
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
            data={"version": __version__, "mode": self._settings.mode},
            at=self._clock.now().wall,
        )

    def _reset(self) -> GapObserved:
        now = self._clock.now().wall
        return GapObserved(reason="store_reset", since=now, until=now)

    def _listen_to_signals(self) -> None:
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self._stop.set)


class _Tasks:
    """Named tasks; one that ends by itself, however, ends the agent: a supervisor starts it again, whole."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[str] = set()
        self.failed = False

    def start(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._notice_end)

    def _notice_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None and (task.get_name() in self._ending or self._stop.is_set()):
            return
        self.failed = True
        log.critical(
            "task_ended",
            task=task.get_name(),
            error=str(error) if error else "it returned",
            consequence="the agent ends; what is not delivered is on disk",
            exc_info=error if not isinstance(error, FatalError) else None,
        )
        self._stop.set()

    async def cancel(self, name: str) -> None:
        task = self._tasks[name]
        self._ending.add(name)
        task.cancel()
        await asyncio.wait([task])

    async def wait(self, name: str) -> None:
        self._ending.add(name)
        await asyncio.wait([self._tasks[name]])


def _shared_cause(settings: Settings) -> SharedCauseRule:
    rule = settings.guards.shared_cause
    return SharedCauseRule(share=rule.share, at_least=rule.at_least, within=rule.within, hold=rule.hold)


def _gap_of(drop: OutboxDrop) -> GapObserved:
    return GapObserved(reason="outbox_overflow", since=drop.since, until=drop.until, count=drop.count)


async def _once_policies_are_read(folder: PolicyFolder, session: EngineSession) -> None:
    """Listen to the engine. What it replays at the start sets off the policies in force when it is handled."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(folder.looked.wait(), _POLICIES_MAY_TAKE)
    await session.run()


def _on_hangup(folder: PolicyFolder) -> None:
    """SIGHUP: read the policies now."""
    running = asyncio.get_running_loop()
    reloads: set[asyncio.Task[object]] = set()

    def reload() -> None:
        task: asyncio.Task[object] = asyncio.create_task(folder.reload(), name="reload on SIGHUP")
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    running.add_signal_handler(signal.SIGHUP, reload)
