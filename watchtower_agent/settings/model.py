"""Every setting, with its meaning, unit and default."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from watchtower_agent.policies.problem import WrongValueError
from watchtower_agent.settings.values import (
    ActionCount,
    BaseTopic,
    ClientId,
    CommandNames,
    ContainerCount,
    Duration,
    EngineUrl,
    FileMode,
    FilePath,
    HostName,
    ImageNames,
    LabelGlobs,
    ListenAddress,
    MetricLabels,
    MqttUrl,
    Protocol,
    Share,
    Size,
    SocketPath,
    UnitName,
    between,
    none_or_between,
)

ENV_PREFIX: Final = "WATCHTOWER_AGENT_"

STATEFUL_IMAGES: Final = (
    # relational
    "postgres",
    "postgresql",
    "postgis",
    "pgvector",
    "timescaledb",
    "timescaledb-ha",
    "cockroach",
    "mysql",
    "mysql-server",
    "mariadb",
    "percona",
    "percona-server",
    "tidb",
    "mssql/server",
    "azure-sql-edge",
    "oracle-free",
    "oracle-xe",
    "firebird",
    # documents, keys, columns, graphs, vectors and time
    "mongo",
    "mongodb",
    "mongodb-community-server",
    "percona-server-mongodb",
    "couchdb",
    "couchbase",
    "arangodb",
    "surrealdb",
    "redis",
    "redis-stack",
    "redis-stack-server",
    "valkey",
    "keydb",
    "dragonfly",
    "memcached",
    "cassandra",
    "scylla",
    "clickhouse",
    "clickhouse-server",
    "neo4j",
    "qdrant",
    "weaviate",
    "milvus",
    "chroma",
    "influxdb",
    "victoria-metrics",
    "questdb",
    # search
    "elasticsearch",
    "opensearch",
    "solr",
    "meilisearch",
    "typesense",
    # what others are coordinated by, and their secrets
    "etcd",
    "consul",
    "vault",
    "openbao",
    "zookeeper",
    "cp-zookeeper",
    # brokers and queues
    "kafka",
    "kafka-native",
    "cp-kafka",
    "cp-server",
    "redpanda",
    "pulsar",
    "rabbitmq",
    "nats",
    "activemq-classic",
    "activemq-artemis",
    "artemis",
    "eclipse-mosquitto",
    "mosquitto",
    "emqx",
    "vernemq",
    "hivemq4",
    "hivemq-ce",
    # files
    "minio",
    "seaweedfs",
    "garage",
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsSettings(_Section):
    """Files for TLS."""

    ca: FilePath | None = None
    """Certificates to trust; null: those of the system."""
    cert: FilePath | None = None
    """The agent's own certificate, where the other side asks for one."""
    key: FilePath | None = None
    """The key of that certificate."""

    @model_validator(mode="after")
    def _together(self) -> TlsSettings:
        if (self.cert is None) != (self.key is None):
            raise WrongValueError("cert and key belong together", "set both or none")
        return self


class EngineSettings(_Section):
    """The Docker Engine that is watched."""

    url: EngineUrl = ""
    """Its address; empty: DOCKER_HOST, then the CLI's context, then the default socket. The log says which."""
    tls: TlsSettings = TlsSettings()
    """For tcp and https addresses."""
    ssh_config: FilePath | None = None
    """Configuration of the ssh client, for ssh addresses; null: the user's and the system's."""
    timeout: Annotated[Duration, AfterValidator(between("100ms", "10m"))] = 10.0
    """Seconds for one call; a stop gets its stop timeout on top."""
    unit: UnitName = "docker.service"
    """Its service of systemd, which restart_engine restarts."""


class SamplingSettings(_Section):
    """Measuring CPU and memory."""

    interval: Annotated[Duration, AfterValidator(between("100ms", "1h"))] = 1.0
    """Seconds between two samples."""
    source: Literal["auto", "cgroup", "stats-api"] = "auto"
    """Where container metrics come from. auto: cgroup files where they can be read, else the engine's stats API."""
    history: Annotated[Duration, AfterValidator(none_or_between("1m", "24h"))] = 3600.0
    """Seconds of the past that are kept in memory for `metrics --last`, as averages of 10 s; 0: none."""
    cgroup_root: FilePath = Path("/sys/fs/cgroup")
    """Where the host's cgroup file system is mounted."""
    proc_root: FilePath = Path("/proc")
    """Where the host's /proc is mounted."""


class MetricsSettings(_Section):
    """Metrics over MQTT."""

    interval: Annotated[Duration, AfterValidator(between("1s", "1h"))] = 10.0
    """Seconds between two batches."""
    per_container: bool = False
    """Publish each container's sample on a topic of its own as well."""


class HomeAssistantSettings(_Section):
    """What Home Assistant is told, so that hosts and containers appear there."""

    enabled: bool = False
    """Publish discovery messages, and each container's sample on a topic of its own."""
    prefix: BaseTopic = "homeassistant"
    """Its discovery prefix: the first level or levels of the topics of discovery."""


class MqttSettings(_Section):
    """The broker, and what it is told."""

    url: MqttUrl = "mqtt://127.0.0.1:1883"
    """mqtt, mqtts, ws or wss; null: no broker, events go to the log and stay in the outbox file."""
    username: str | None = None
    """Null: no login."""
    password: SecretStr | None = None
    """From the secret mqtt__password or the environment, never from the file."""
    password_file: FilePath | None = None
    """A file that holds the password."""
    labels: LabelGlobs = ()
    """Container labels that may leave the agent, as globs."""
    exec_events: bool = False
    """Publish exec events as well. Their commands never leave the agent."""
    tls: TlsSettings = TlsSettings()
    """For mqtts and wss addresses."""
    protocol: Annotated[Literal["5", "3.1.1"], Protocol] = "5"
    """The version of MQTT."""
    base_topic: BaseTopic = "watchtower"
    """The first level or levels of every topic."""
    client_id: ClientId = ""
    """Empty: watchtower-<host>."""
    commands: CommandNames = ()
    """Commands that may be given over MQTT, by whom the broker lets write on their topics."""
    metrics: MetricsSettings = MetricsSettings()
    home_assistant: HomeAssistantSettings = HomeAssistantSettings()


class OutboxSettings(_Section):
    """Events on disk until the broker has them."""

    max_size: Size = 256 * 2**20
    """Bytes; past it the oldest events are dropped, counted, and said so."""


class HostBudgetSettings(_Section):
    """How many actions there may be on all containers of this host together."""

    max: ActionCount = 6
    """Actions; when more are wanted the host's breaker opens."""
    per: Annotated[Duration, AfterValidator(between("1s", "1d"))] = 600.0
    """Seconds within which they are counted."""


class SharedCauseSettings(_Section):
    """When many failures are taken for one, and no container is acted on for a while."""

    share: Share = 30.0
    """Percent of the containers that policies may act on: when more fail, they have a shared cause."""
    at_least: ContainerCount = 3
    """Fewer failures than this have none."""
    within: Annotated[Duration, AfterValidator(between("1s", "1h"))] = 120.0
    """Seconds in which failures are counted."""
    hold: Annotated[Duration, AfterValidator(between("0s", "1d"))] = 300.0
    """Seconds for which no container is acted on after a shared cause was seen; 0 turns this off."""
    disk: Share = 95.0
    """Percent of the file system of the engine's data from which on it is full; 0 turns just this cause off."""


class GuardSettings(_Section):
    """What holds an action back."""

    host_budget: HostBudgetSettings = HostBudgetSettings()
    shared_cause: SharedCauseSettings = SharedCauseSettings()
    stateful_images: ImageNames = STATEFUL_IMAGES
    """Images left alone unless a policy selects the container by exact name or label."""


class AllowSettings(_Section):
    """What the agent does only where it is allowed to, whatever a policy says."""

    prune_volumes: bool = False
    """Delete volumes that a policy names."""
    restart_engine: bool = False
    """Restart the engine's service where a policy says so, by systemd."""


class HttpSettings(_Section):
    """What is told over HTTP: /metrics for Prometheus, /healthz and /readyz."""

    listen: ListenAddress = "127.0.0.1:9327"
    """Address and port; null: none."""
    labels: MetricLabels = ()
    """Container labels that stand beside their metrics, each by its full name."""


class ControlSettings(_Section):
    """The unix socket by which the command line talks to the running agent."""

    socket: SocketPath = Path("/run/watchtower-agent/control.sock")
    """Its path, at most 107 bytes."""
    mode: FileMode = "0660"
    """Its file mode, octal: whoever may write to it may ask."""


class LogSettings(_Section):
    """The agent's log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe line that is written."""
    format: Literal["auto", "console", "json"] = "auto"
    """auto: console on a terminal, JSON otherwise, with priorities under journald."""


class Settings(BaseSettings):
    """The agent's configuration, merged and checked."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        env_parse_none_str="null",
    )

    host: HostName = ""
    """This host's level in every topic; empty: this machine's name."""
    mode: Literal["enforce", "observe"] = "enforce"
    """observe: decide and publish, act on nothing."""
    policies: FilePath = Path("policies")
    """The folder of policy files."""
    state_dir: FilePath = Path("/var/lib/watchtower-agent")
    """Where the outbox, the history and everything else that is remembered is kept."""
    engine: EngineSettings = EngineSettings()
    sampling: SamplingSettings = SamplingSettings()
    mqtt: MqttSettings = MqttSettings()
    outbox: OutboxSettings = OutboxSettings()
    guards: GuardSettings = GuardSettings()
    allow: AllowSettings = AllowSettings()
    http: HttpSettings = HttpSettings()
    control: ControlSettings = ControlSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library calls with these names
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - same
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing is read behind the back of `load_settings`, which knows where each value came from."""
        return (init_settings,)


def settings_digest(settings: Settings) -> str:
    """A hash over the configuration, secrets left out: the same for the same behaviour."""
    content = settings.model_dump(mode="json", exclude={"mqtt": {"password": True, "password_file": True}})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def known_keys(model: type[BaseModel] = Settings) -> dict[str, type[BaseModel] | None]:
    """The keys of a section: the section below, or None for a value."""
    sections = {name: field.annotation for name, field in model.model_fields.items()}
    return {
        name: kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        for name, kind in sections.items()
    }


def value_paths(model: type[BaseModel] = Settings, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all values, in the order of their sections."""
    paths: list[tuple[str, ...]] = []
    for name, section in known_keys(model).items():
        paths += [(*above, name)] if section is None else value_paths(section, (*above, name))
    return paths
