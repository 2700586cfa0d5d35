from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.errors import SettingsError
from watchtower_agent.policies.quantities import DURATION_UNITS
from watchtower_agent.settings import Settings, load_settings
from watchtower_agent.settings.model import ENV_PREFIX, value_paths
from watchtower_agent.settings.values import listen_at

CONFIG = Path(__file__).parents[2] / "config" / "agent.yaml"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith((ENV_PREFIX, "CREDENTIALS_DIRECTORY"))]:
        monkeypatch.delenv(name)


def is_path(path: tuple[str, ...]) -> bool:
    """Whether a setting is one of a file or a folder."""
    section: Any = Settings
    for step in path[:-1]:
        section = section.model_fields[step].annotation
    annotation = section.model_fields[path[-1]].annotation
    return annotation is Path or "Path" in str(annotation)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.yaml"


def problems(file: Path | None, **overrides: object) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings(file, overrides)
    return str(raised.value).splitlines()


def test_shipped_file_says_the_defaults() -> None:
    shipped = load_settings(CONFIG).settings
    mqtt = shipped.mqtt.model_copy(update={"client_id": ""})
    assert shipped.model_copy(update={"host": "", "policies": Settings().policies, "mqtt": mqtt}) == Settings()
    assert shipped.policies == CONFIG.parent / "policies"


def test_every_line_of_the_shipped_file_names_a_known_key() -> None:
    words = set(re.findall(r"([a-z_]+):(?: |$)", re.sub(r"#.*", "", CONFIG.read_text())))
    assert words <= {step for path in value_paths() for step in path}


def test_a_file_is_read_with_its_units_and_relative_paths(file: Path) -> None:
    file.write_text(
        "host: h1\npolicies: rules\nengine: {timeout: 1m}\nsampling: {interval: 500ms}\n"
        "outbox: {max_size: 1GiB}\nmqtt:\n  protocol: 3.1.1\n  labels: [team, 'com.*']\n"
    )
    loaded = load_settings(file)
    settings = loaded.settings
    assert (settings.policies, settings.engine.timeout) == (file.parent / "rules", 60.0)
    assert (settings.sampling.interval, settings.outbox.max_size) == (0.5, 2**30)
    assert (settings.mqtt.protocol, settings.mqtt.labels) == ("3.1.1", ("team", "com.*"))
    assert (settings.mqtt.client_id, loaded.source, loaded.file) == ("watchtower-h1", str(file), file)


@pytest.mark.parametrize("path", [path for path in value_paths() if is_path(path)], ids=".".join)
def test_every_path_in_a_file_is_relative_to_it(file: Path, path: tuple[str, ...]) -> None:
    (file.parent / "there").touch()
    value: object = "there"
    for step in reversed(path):
        value = {step: value}
    if "tls" in path:
        value = {path[0]: {"tls": dict.fromkeys(("ca", "cert", "key"), "there")}}
    file.write_text(json.dumps(value))
    read: object = load_settings(file, {"host": "h"}).settings
    for step in path:
        read = getattr(read, step)
    assert read == file.parent / "there"


def test_yaml_is_read_as_yaml_1_2(file: Path) -> None:
    file.write_text("mode: observe\nmqtt: {username: off, url: null}\n")
    mqtt = load_settings(file).settings.mqtt
    assert (mqtt.username, mqtt.url) == ("off", None)


@pytest.mark.parametrize("content", ["", "# nothing\n\n", "mqtt:\n  # all of it commented out\n"])
def test_an_empty_file_or_section_is_the_default(file: Path, content: str) -> None:
    file.write_text(content)
    assert load_settings(file, {"host": "h"}).settings.mqtt.url == "mqtt://127.0.0.1:1883"


def test_precedence(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, text in {"mqtt__username": "secret", "mqtt__base_topic": "secret", "host": "not-ours"}.items():
        (secrets / name).write_text(text + "\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(secrets))
    file.write_text(
        "host: file\nlog: {level: error}\n"
        "mqtt: {username: file, base_topic: file, client_id: file, url: 'mqtt://file'}\n"
    )
    monkeypatch.setenv("WATCHTOWER_AGENT_MQTT__BASE_TOPIC", "environment")
    monkeypatch.setenv("WATCHTOWER_AGENT_MQTT__CLIENT_ID", "environment")
    monkeypatch.setenv("WATCHTOWER_AGENT_LOG__FORMAT", "json")
    settings = load_settings(file, {"mqtt.client_id": "command"}).settings
    assert settings.host == "file"
    assert (settings.mqtt.url, settings.mqtt.username) == ("mqtt://file", "secret")
    assert (settings.mqtt.base_topic, settings.mqtt.client_id) == ("environment", "command")
    assert (settings.log.level, settings.log.format) == ("error", "json")


def test_an_empty_secret_is_none(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("")
    (tmp_path / "mqtt__password").write_text("\n")
    (tmp_path / "mqtt__username").write_text("somebody\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    mqtt = load_settings(file).settings.mqtt
    assert (mqtt.username, mqtt.password) == ("somebody", None)


def test_environment_values(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("mqtt: {url: 'mqtt://file', labels: [x]}\n")
    monkeypatch.setenv("WATCHTOWER_AGENT_MQTT__URL", "null")
    monkeypatch.setenv("WATCHTOWER_AGENT_MQTT__LABELS", "team, com.*")
    monkeypatch.setenv("WATCHTOWER_AGENT_MQTT__PASSWORD", "p#1")
    monkeypatch.setenv("WATCHTOWER_AGENT_MQTT__METRICS__INTERVAL", "5s")
    monkeypatch.setenv("WATCHTOWER_AGENT_MQTT__EXEC_EVENTS", "true")
    monkeypatch.setenv("WATCHTOWER_AGENT_CONTROL__MODE", "0600")
    monkeypatch.setenv("WATCHTOWER_AGENT_HOST", "")
    settings = load_settings(file).settings
    assert (settings.mqtt.url, settings.mqtt.labels) == (None, ("team", "com.*"))
    assert (settings.mqtt.metrics.interval, settings.mqtt.exec_events, settings.control.mode) == (5.0, True, "0600")
    assert settings.mqtt.password is not None
    assert settings.mqtt.password.get_secret_value() == "p#1"


def test_variables_of_other_programs_are_ignored(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("host: h\n")
    monkeypatch.setenv("WATCHTOWER_CLEANUP", "true")
    monkeypatch.setenv("WATCHTOWER_MQTT__URL", "mqtt://other")
    assert load_settings(file).settings.mqtt.url == "mqtt://127.0.0.1:1883"


def test_unknown_variables_are_mistakes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("host: h\n")
    monkeypatch.setenv("WATCHTOWER_AGENT_MQTT__URI", "x")
    monkeypatch.setenv("WATCHTOWER_AGENT_MODUS", "x")
    monkeypatch.setenv("WATCHTOWER_AGENT_HOST__NAME", "x")
    found = problems(file)
    assert found == [
        "environment: WATCHTOWER_AGENT_HOST__NAME: host has no keys below it, write a value",
        'environment: WATCHTOWER_AGENT_MODUS: unknown key "modus", did you mean MODE?',
        'environment: WATCHTOWER_AGENT_MQTT__URI: unknown key "uri", did you mean URL?',
    ]


def test_all_problems_come_at_once_each_with_its_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(
        "mode: observ\n"
        "policys: x\n"
        "engine: {timeout: 10}\n"
        "mqtt:\n"
        "  url: http://broker\n"
        "  password: hunter2\n"
        "  tls: {cert: a.pem}\n"
        "  metrics: {per_container: 3}\n"
        "outbox: {max_size: 3 apples}\n"
        "control: {mode: 0660}\n"
        "log: 5\n"
        "log: 6\n"
    )
    monkeypatch.setenv("WATCHTOWER_AGENT_LOG__LEVEL", "loud")
    found = problems(file, host="a/b")
    places = {line.split(": ")[0].removeprefix(f"{file}:") for line in found}
    assert places == {
        "1:7",
        "2:1",
        "3:19",
        "5:8",
        "6:3",
        "7:8",
        "8:28",
        "9:20",
        "10:17",
        "12:1",
        "command line",
        "environment",
    }
    assert all("hunter2" not in line for line in found)
    assert any(line.endswith('policys: unknown key "policys", did you mean policies?') for line in found)
    assert all(re.search(r": ([\w.]+: .+|the key .+), .+", line) for line in found)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("host: &a h\nmode: *a\n", "1:7"),
        ("host: !!str h\n", "1:7"),
        ("- host\n", "1:1"),
        ("host: [\n", "2:1"),
        ("host: h\n---\nhost: i\n", "2:1"),
        ("x: " + "[" * 40 + "]" * 40, "1:35"),
    ],
)
def test_what_is_no_plain_yaml_mapping_is_refused(file: Path, content: str, place: str) -> None:
    file.write_text(content)
    assert any(line.startswith(f"{file}:{place}: ") for line in problems(file)), problems(file)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("host: *web", '1:7: host: a text that begins with "*" needs quotes, write "*web"'),
        ("mqtt: {labels: [*]}", '1:17: a text that begins with "*" needs quotes, write "*"'),
        ("mode: shadow", '1:7: mode: "shadow" is not known here, did you mean observe? choose one of enforce, observe'),
        (
            "log: {level: warn}",
            '1:14: log.level: "warn" is not known here, did you mean warning? choose one of debug, ',
        ),
        ("mode: [observe]", "1:7: mode: this value is not known, choose one of enforce, observe"),
    ],
)
def test_a_mistake_is_told_once_with_what_is_meant(file: Path, content: str, told: str) -> None:
    file.write_text(content + "\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{file}:{told}")


def test_a_file_that_is_too_large_is_refused(file: Path) -> None:
    file.write_text("# " + "x" * 2**20 + "\nhost: h\n")
    assert "1 MiB" in problems(file)[0]


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    (line,) = problems(tmp_path / "none.yaml")
    assert (
        line == f"{tmp_path}/none.yaml: can't be read (No such file or directory), name a file that the agent may read"
    )


def test_without_a_file_the_defaults_hold_and_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None, {"host": "h"})
    assert loaded.file is None or loaded.file == Path("/etc/watchtower-agent/agent.yaml")
    if loaded.file is None:
        assert loaded.source.startswith("defaults")
        assert loaded.settings.policies == Path("/etc/watchtower-agent/policies")


def test_passwords_are_read_from_a_file_and_never_shown(file: Path) -> None:
    (file.parent / "password").write_text("hunter2\n")
    file.write_text("host: h\nmqtt: {username: u, password_file: password}\n")
    loaded = load_settings(file)
    assert loaded.settings.mqtt.password is not None
    assert loaded.settings.mqtt.password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(loaded) + str(loaded.settings) + loaded.settings.model_dump_json()


def test_a_password_file_that_cannot_be_read_is_named(file: Path) -> None:
    file.write_text("host: h\nmqtt: {password_file: password, tls: {ca: ca.pem}}\n")
    found = problems(file)
    assert found[0].endswith(f": mqtt.tls.ca: {file.parent}/ca.pem can't be read, name a file that the agent may read")
    assert f"{file.parent}/password can't be read (No such file or directory)" in found[1]


def test_the_digest_changes_with_the_settings_and_not_with_the_secrets(file: Path) -> None:
    (file.parent / "one").write_text("1")
    (file.parent / "two").write_text("2")
    file.write_text("host: h\n")
    plain = load_settings(file).digest
    assert load_settings(file, {"mqtt.password_file": str(file.parent / "one")}).digest == plain
    assert load_settings(file, {"mqtt.password_file": str(file.parent / "two")}).digest == plain
    assert load_settings(file, {"mode": "observe"}).digest != plain


@pytest.mark.parametrize(
    "url",
    [
        "broker:1883",
        "mqtt://",
        "mqtt://u:p@broker",
        "mqtt://broker:99999",
        "mqtt://broker/path",
        "mqtt://a\x1bb",
        "tcp://b",
        "wss://broker/mqtt?token=s3cr3t",
        "wss://broker/mqtt#s3cr3t",
        "mqtt://broker?token=s3cr3t",
        "http://broker?token=s3cr3t",
    ],
)
def test_wrong_broker_addresses(url: str) -> None:
    (line,) = problems(None, host="h", **{"mqtt.url": url})
    assert "s3cr3t" not in line
    assert line.startswith("command line: mqtt.url: ")
    assert line.isprintable()


@pytest.mark.parametrize("url", ["https://engine:2376/?token=s3cr3t", "tcp://engine:2376#s3cr3t", "x://e?s3cr3t"])
def test_an_address_of_the_engine_has_no_query(url: str) -> None:
    (line,) = problems(None, host="h", **{"engine.url": url})
    assert line.startswith("command line: engine.url: ")
    assert "s3cr3t" not in line


@pytest.mark.parametrize(
    "lines",
    [
        "password: @s3cr3t",
        "password: '%s3cr3t",
        "password: a: s3cr3t",
        "passwort: *s3cr3t",
        "password: !s3cr3t",
        "password:\n\n    # a comment\n    @s3cr3t",
        "password:\n  s3cr3t",
    ],
)
def test_a_password_in_the_file_that_is_no_yaml_is_refused_without_being_repeated(file: Path, lines: str) -> None:
    file.write_text(f"mqtt:\n  username: agent\n  {lines}\n")
    said = "\n".join(problems(file))
    assert "s3cr3t" not in said
    assert "mqtt__password" in said
    file.write_text(f"host: @h1\nmqtt:\n  {lines}\n")
    assert '"@h1"' in problems(file)[0], "what is no password is repeated, in quotes as it should be written"


@pytest.mark.parametrize("topic", ["", "a//b", "/a", "a/", "a+", "#", "$SYS", "a b", "x" * 101])
def test_wrong_base_topics(topic: str) -> None:
    assert problems(None, host="h", **{"mqtt.base_topic": topic})[0].startswith("command line: mqtt.base_topic: ")


@pytest.mark.parametrize(
    "listen", ["9327", ":9327", "h", "h:0", "h:65536", "h:http", "::1:9327", "[::g]:1", "h:1/x", "a b:1", "http://h:1"]
)
def test_wrong_addresses_to_listen_on(listen: str) -> None:
    (line,) = problems(None, host="h", **{"http.listen": listen})
    assert line.startswith("command line: http.listen: ")
    assert "127.0.0.1:9327" in line


@pytest.mark.parametrize(
    ("listen", "host"), [("0.0.0.0:80", "0.0.0.0"), ("[::1]:80", "::1"), ("localhost:80", "localhost")]
)
def test_an_address_to_listen_on_is_taken_apart(listen: str, host: str) -> None:
    settings = load_settings(None, {"host": "h", "http.listen": listen}).settings
    assert settings.http.listen is not None
    assert listen_at(settings.http.listen) == (host, 80)


def test_labels_of_metrics_are_named_in_full_and_must_differ_when_written() -> None:
    settings = load_settings(None, {"host": "h", "http.labels": "com.example.team,a-b"}).settings
    assert settings.http.labels == ("com.example.team", "a-b")
    for wrong in ("com.*", "a-b,a.b", "a b", ",".join(f"l{n}" for n in range(21))):
        (line,) = problems(None, host="h", **{"http.labels": wrong})
        assert line.startswith("command line: http.labels: ")


def test_a_socket_path_that_linux_does_not_take_is_refused() -> None:
    (line,) = problems(None, host="h", **{"control.socket": "/" + "x" * 107})
    assert "108 bytes" in line
    longest = "/" + "x" * 106
    loaded = load_settings(None, {"host": "h", "control.socket": longest})
    assert str(loaded.settings.control.socket) == longest


@given(
    st.floats(0.1, 3600, allow_nan=False).map(lambda value: round(value, 3)), st.sampled_from(sorted(DURATION_UNITS))
)
def test_durations_round_trip(value: float, unit: str) -> None:
    seconds = value * DURATION_UNITS[unit]
    if 0.1 <= seconds <= 3600:
        loaded = load_settings(None, {"host": "h", "sampling.interval": f"{value}{unit}"})
        assert loaded.settings.sampling.interval == pytest.approx(seconds)
    else:
        assert "sampling.interval" in problems(None, host="h", **{"sampling.interval": f"{value}{unit}"})[0]


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0.0), ("1m", 60.0), ("90m", 5400.0), ("24h", 86400.0)])
def test_so_much_of_the_past_can_be_kept(text: str, seconds: float) -> None:
    assert load_settings(None, {"host": "h", "sampling.history": text}).settings.sampling.history == seconds


@pytest.mark.parametrize("text", ["1s", "59s", "25h", "3650d"])
def test_nothing_or_enough_of_the_past_to_look_at_and_no_more_than_a_day(text: str) -> None:
    (line,) = problems(None, host="h", **{"sampling.history": text})
    assert "sampling.history" in line
    assert "this duration is out of range, write one between 1m and 24h, or 0s for none" in line


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(value_paths()),
)
def test_any_value_anywhere_is_taken_or_refused_in_one_line_each(value: object, path: tuple[str, ...]) -> None:
    try:
        load_settings(None, {".".join(path): value})
    except SettingsError as error:
        for line in str(error).splitlines():
            assert line.startswith(("command line: ", "default: "))
            assert line.isprintable()


def test_the_reference_names_every_key_and_no_other() -> None:
    page = (CONFIG.parents[1] / "docs" / "settings.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = [key for row in rows for key in re.findall(r"`([a-z_.]+)`", row)]
    assert sorted(named) == sorted(".".join(path) for path in value_paths())


@pytest.mark.parametrize(
    ("section", "place", "message"),
    [
        (
            "mqtt: {labels: [team, 'com.[a']}",
            "1:23: mqtt.labels[1]",
            'the bracket in "com.[a" is never closed, close it',
        ),
        ("mqtt: {labels: ['']}", "1:17: mqtt.labels[0]", "the pattern is empty and matches no label, write a name"),
        ("engine: {unit: docker}", "1:16: engine.unit", '"docker" is not the name of a service of systemd'),
        ("engine: {unit: '--help.service'}", "1:16: engine.unit", "is not the name of a service of systemd"),
        ("engine: {unit: 'a b.service'}", "1:16: engine.unit", "is not the name of a service of systemd"),
        ("engine: {unit: '../x.service'}", "1:16: engine.unit", "is not the name of a service of systemd"),
        ("engine: {unit: docker.socket}", "1:16: engine.unit", "write it like docker.service"),
        ("guards: {stateful_images: ['  ']}", "1:28: guards.stateful_images[0]", "is not the bare name of an image"),
        ("guards: {stateful_images: ['post*']}", "1:28: guards.stateful_images[0]", '"post*" is not the bare name'),
        (
            "guards: {stateful_images: [a/b:1]}",
            "1:28: guards.stateful_images[0]",
            "without registry, tag and wildcards",
        ),
    ],
)
def test_patterns_that_match_nothing_are_mistakes(file: Path, section: str, place: str, message: str) -> None:
    file.write_text(section)
    (problem,) = problems(file)
    assert problem.startswith(f"{file}:{place}: ")
    assert message in problem


def test_a_pattern_from_the_environment_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHTOWER_AGENT_MQTT__LABELS", "team,[a")
    (problem,) = problems(None)
    assert problem.startswith("environment: WATCHTOWER_AGENT_MQTT__LABELS: the bracket")


@pytest.mark.parametrize(
    ("written", "remedy"), [("256 MiB", "write 256MiB"), ("1 gb", "write 1GB"), ("x", "write it like")]
)
def test_a_size_with_a_blank_is_told_as_it_is_written(file: Path, written: str, remedy: str) -> None:
    file.write_text(f"outbox: {{max_size: {written}}}\n")
    (problem,) = problems(file)
    assert remedy in problem


@pytest.mark.parametrize("written", ["0", "1001", "-1", "1.5", "true", "many", "'99999999999'"])
def test_a_budget_of_the_host_is_a_number_of_actions(file: Path, written: str) -> None:
    file.write_text(f"guards: {{host_budget: {{max: {written}}}}}\n")
    (problem,) = problems(file)
    assert problem.startswith(f"{file}:1:29: guards.host_budget.max: ")
    assert "is not a number of actions, write one from 1 to 1000" in problem


def test_the_hosts_budget_is_counted_over_a_day_at_most(file: Path) -> None:
    file.write_text("guards: {host_budget: {per: 25h}}\n")
    (problem,) = problems(file)
    assert "guards.host_budget.per: this duration is out of range" in problem


def test_the_hosts_budget_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHTOWER_AGENT_GUARDS__HOST_BUDGET__MAX", "12")
    monkeypatch.setenv("WATCHTOWER_AGENT_GUARDS__HOST_BUDGET__PER", "1h")
    budget = load_settings(None).settings.guards.host_budget
    assert (budget.max, budget.per) == (12, 3600.0)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("share: 101%", 'share: "101%" is not a share, write one between 0% and 100%'),
        ("share: 30", 'share: "30" is not a share'),
        ("share: 30.5", 'share: "30.5" is not a share'),
        ("share: most", 'share: "most" is not a share, write it like 30%'),
        ("disk: 101%", 'disk: "101%" is not a share, write one between 0% and 100%'),
        ("at_least: 0", 'at_least: "0" is not a number of containers, write one from 1 to 100000'),
        ("within: 2h", "within: this duration is out of range, write one between 1s and 1h"),
        ("hold: 2d", "hold: this duration is out of range, write one between 0s and 1d"),
    ],
)
def test_a_shared_cause_that_can_t_be(written: str, sentence: str, file: Path) -> None:
    file.write_text(f"guards: {{shared_cause: {{{written}}}}}\n")
    (problem,) = problems(file)
    assert f"guards.shared_cause.{sentence}" in problem


def test_a_shared_cause_in_the_file_and_in_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = load_settings(None).settings.guards.shared_cause
    assert (usual.share, usual.at_least, usual.within, usual.hold, usual.disk) == (30.0, 3, 120.0, 300.0, 95.0)
    file.write_text("guards: {shared_cause: {share: 12.5%, at_least: 5, within: 30s, hold: 0s, disk: 0%}}\n")
    monkeypatch.setenv("WATCHTOWER_AGENT_GUARDS__SHARED_CAUSE__SHARE", "50%")
    rule = load_settings(file).settings.guards.shared_cause
    assert (rule.share, rule.at_least, rule.within, rule.hold, rule.disk) == (50.0, 5, 30.0, 0.0, 0.0)
