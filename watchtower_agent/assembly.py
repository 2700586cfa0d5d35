"""Parts of the agent, made as the settings say."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from watchtower_agent.collectors.reader import Reader
from watchtower_agent.collectors.request import Source
from watchtower_agent.collectors.sampler import Sampler
from watchtower_agent.engine.address import EngineAddress, TlsFiles, resolve_address
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.unit import SystemdUnit
from watchtower_agent.engine.workers import Workers
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.ports.clock import Clock
from watchtower_agent.publishing.broker_options import MqttOptions, MqttProtocol
from watchtower_agent.publishing.home_assistant import HomeAssistantOptions
from watchtower_agent.publishing.link import MqttLink
from watchtower_agent.publishing.outbox import NoBroker, OutboxPublisher
from watchtower_agent.serving.http import HttpServer
from watchtower_agent.settings import Settings
from watchtower_agent.settings.values import listen_at, metric_label
from watchtower_agent.storage import SqliteStore

log = structlog.get_logger("watchtower_agent")


def engine_address(settings: Settings) -> EngineAddress:
    """Where the engine is."""
    engine = settings.engine
    given = engine.tls.ca or engine.tls.cert
    tls = TlsFiles(ca=engine.tls.ca, cert=engine.tls.cert, key=engine.tls.key) if given else None
    return replace(resolve_address(engine.url, tls, environment=os.environ), ssh_config=engine.ssh_config)


def engine_unit(settings: Settings, calls: EngineCalls) -> SystemdUnit:
    """The engine's own service."""
    pings = Workers("engine-restarted", 1)  # threads are started once there is work for them
    return SystemdUnit(settings.engine.unit, lambda: pings.call(calls.ping))


def sampler_of(
    settings: Settings, takers: Sequence[Callable[[SampleBatch], None]], calls: EngineCalls, clock: Clock
) -> Sampler:
    """What samples on a thread of its own.

    Args:
        settings: The agent's.
        takers: Take each tick, one after the other, on the event loop; they never block.
        calls: To the engine, for containers whose cgroups can't be read.
        clock: The host's clocks.
    """
    sampling = settings.sampling
    source = Source(sampling.source)
    if source is Source.AUTO and not calls.address.socket_path:
        source = Source.STATS_API  # an engine elsewhere: the cgroups here are not its containers'
    reader = Reader(
        clock=clock,
        interval=sampling.interval,
        cgroup_root=str(sampling.cgroup_root),
        proc_root=str(sampling.proc_root),
        source=source,
        ask=calls.stats,
    )
    running = asyncio.get_running_loop()

    def taken(batch: SampleBatch) -> None:
        for take in takers:
            take(batch)

    def deliver(batch: SampleBatch) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody needs the tick any more
            running.call_soon_threadsafe(taken, batch)

    return Sampler(reader=reader, deliver=deliver)


def publisher_to(settings: Settings, store: SqliteStore, clock: Clock) -> OutboxPublisher | NoBroker:
    """What brings to the broker what the store has."""
    mqtt = settings.mqtt
    if mqtt.url is None:
        log.warning("no_broker", consequence="events go to the log and stay in the outbox file")
        return NoBroker()
    options = MqttOptions(
        url=mqtt.url,
        host=settings.host,
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
    publisher = OutboxPublisher(store, link, clock=clock)
    if (told := home_assistant_of(settings)) is not None:
        publisher.tell_again(told.discovery, when_online=told.status_topics)
    return publisher


def home_assistant_of(settings: Settings) -> HomeAssistantOptions | None:
    """How Home Assistant is told of this host; None where it is not."""
    wanted = settings.mqtt.home_assistant
    if not wanted.enabled:
        return None
    return HomeAssistantOptions(prefix=wanted.prefix, interval=settings.mqtt.metrics.interval)


def http_server_of(settings: Settings) -> HttpServer | None:
    """What answers over HTTP; None where the settings want it nowhere."""
    if settings.http.listen is None:
        return None
    host, port = listen_at(settings.http.listen)
    return HttpServer(host, port, labels=http_labels(settings))


def http_labels(settings: Settings) -> dict[str, str]:
    """A container's label -> under which name it stands beside its series."""
    return {label: metric_label(label) for label in settings.http.labels}


def shared_cause_rule(settings: Settings) -> SharedCauseRule:
    """When many failures are taken for one."""
    rule = settings.guards.shared_cause
    return SharedCauseRule(share=rule.share, at_least=rule.at_least, within=rule.within, hold=rule.hold, disk=rule.disk)
