from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from watchtower_agent.cli.commands import main

ROOT = Path(__file__).parents[3]


def test_check_of_what_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    config = ROOT / "config" / "agent.yaml"
    assert main(["check", "--config", str(config)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{config}: no problems"
    assert re.fullmatch(r".*config/policies: \d+ policies in \d+ files, no problems", out[1])


def test_check_of_a_broken_folder_and_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "a.yaml").write_text(
        "version: 1\npolicies:\n  - name: x\n    on: {container: dye}\n    then: {notify: {}}\n"
    )
    config = tmp_path / "agent.yaml"
    config.write_text("host: h\n")
    assert main(["check", "--config", str(config)]) == 1
    first = capsys.readouterr()
    (line,) = first.out.splitlines()
    assert re.match(re.escape(str(folder / "a.yaml")) + r":4:\d+: policies\[0\]\.on\S*: .*dye.*die", line)
    assert first.err.startswith("watchtower-agent: 1 problem; nothing of this is in force until it is gone")
    config.write_text("host: h\nmodus: x\nmode: y\n")
    assert main(["check", str(folder), "--config", str(config), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert not answer["ok"]
    assert [problem["text"].split(": ")[0] for problem in answer["problems"]][:2] == [f"{config}:2:1", f"{config}:3:7"]
    assert (answer["problems"][2]["line"], answer["problems"][2]["file"]) == (4, str(folder / "a.yaml"))


_PIECES = ("file", "line", "column", "path", "message", "remedy")


@pytest.mark.parametrize(
    ("settings", "pieces"),
    [
        ("modus: x\n", ("agent.yaml", 1, 1, "modus", 'unknown key "modus"', "did you mean mode?")),
        ("host: h\nmqtt:\n  password: x\n", ("agent.yaml", 3, 3, "mqtt.password", "a password does not", "use passw")),
        ("mqtt: {password_file: no}\n", ("agent.yaml", 1, 23, "mqtt.password_file", "{}no can't be read", "make it")),
        (
            "engine:\n  ssh_config: no\n",
            ("agent.yaml", 2, 15, "engine.ssh_config", "{}no can't be read", "name a file"),
        ),
        ("mode: [\n", ("agent.yaml", 2, 1, "", "", "")),
        ("- a\n", ("agent.yaml", 1, 1, "", "this is not a mapping", "write keys like")),
        (None, ("agent.yaml", None, None, "", "can't be read (No such file", "name a file that the agent may read")),
    ],
)
def test_a_mistake_in_the_configuration_has_the_pieces_that_one_in_a_policy_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: str | None, pieces: tuple[object, ...]
) -> None:
    config = tmp_path / "agent.yaml"
    if settings is not None:
        config.write_text(settings)
    (tmp_path / "policies").mkdir()

    assert main(["check", "--config", str(config), "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]

    assert set(problem) == {"text", *_PIECES}
    file, *place = pieces
    assert [problem[piece] for piece in _PIECES[:4]] == [str(tmp_path / str(file)), *place[:3]]
    for piece, begin in zip(("message", "remedy"), place[3:], strict=True):
        assert problem[piece].startswith(str(begin).format(f"{tmp_path}/"))
    where = f"{config}:{problem['line']}:{problem['column']}" if problem["line"] else str(config)
    path = f"{problem['path']}: " if problem["path"] else ""
    assert problem["text"] == f"{where}: {path}{problem['message']}, {problem['remedy']}"


def test_a_mistake_in_no_file_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text("host: h\n")
    (tmp_path / "policies").mkdir()
    monkeypatch.setenv("WATCHTOWER_AGENT_LOG__LEVEL", "warn")

    assert main(["check", "--config", str(config), "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]

    assert [problem[piece] for piece in _PIECES[:4]] == [None, None, None, "log.level"]
    assert problem["text"] == f"environment: WATCHTOWER_AGENT_LOG__LEVEL: {problem['message']}, {problem['remedy']}"


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ("mode: y\n", "policies"),
        ("modus: y\nhost: a b\n", "policies"),
        ("mode: y\npolicies: elsewhere\n", "elsewhere"),
        ("mqtt: {password_file: none}\n", "policies"),
        ("mode: y\npolicies: [a]\n", None),
        ("mode: y\npolicis: elsewhere\n", None),
        ("mode: [\n", None),
    ],
)
def test_a_wrong_setting_hides_no_mistake_in_the_policies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: str, folder: str | None
) -> None:
    for name in ("policies", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text("version: 1\npolicies: {}\n")
    config = tmp_path / "agent.yaml"
    config.write_text(settings)

    assert main(["check", "--config", str(config), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)

    assert answer["problems"][0]["text"].startswith(f"{config}:")
    assert answer["folder"] == (str(tmp_path / folder) if folder else None)
    in_policies = [problem["file"] for problem in answer["problems"] if problem["file"] != str(config)]
    assert in_policies == ([str(tmp_path / folder / "a.yaml")] if folder else [])


def test_check_of_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ROOT / "config" / "policies" / "heal-unhealthy.yaml"
    assert main(["check", str(file)]) == 0
    assert re.fullmatch(r".*heal-unhealthy.yaml: 1 policy, no problems\n", capsys.readouterr().out)
    file = tmp_path / "a.yaml"
    file.write_text("version: 1\npolicies: {}\n")
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().out.startswith(f"{file}:2:11: policies: this is not a list")


def test_check_of_the_configuration_as_if_it_were_a_policy_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(ROOT / "config" / "agent.yaml")]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert re.search(r"agent.yaml: this is the agent's configuration and no policy file, ask with: .* --config ", line)


def test_check_of_a_folder_without_a_policy_file_says_which_names_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "heal.txt").write_text("version: 1\n")
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: no file in it is named *.yaml or *.yml, so there are no policies\n"


def test_check_of_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "none"
    assert main(["check", str(folder)]) == 1
    assert capsys.readouterr().out.startswith(f"{folder}: there is no such policy folder, create it")


def test_a_folder_that_the_configuration_names_and_that_is_none_is_told_where_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, policies = tmp_path / "agent.yaml", tmp_path / "heal.yaml"
    policies.write_text("version: 1\npolicies: []\n")

    config.write_text("mode: observe\npolicies: none\n")
    assert main(["check", "--config", str(config)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{config}:2:11: policies: ")
    assert f"{tmp_path / 'none'}: there is no such policy folder, create it" in line

    config.write_text("mode: shdow\npolicies: heal.yaml\n")
    assert main(["check", "--json", "--config", str(config)]) == 1
    _, told = json.loads(capsys.readouterr().out)["problems"]
    assert (told["file"], told["line"], told["column"], told["path"]) == (str(config), 2, 11, "policies")
    assert told["message"] == f"{policies}: this is not a folder"

    config.write_text("mode: observe\n")
    monkeypatch.setenv("WATCHTOWER_AGENT_POLICIES", "/none")
    assert main(["check", "--config", str(config)]) == 1
    assert capsys.readouterr().out.startswith("environment: WATCHTOWER_AGENT_POLICIES: /none: there is no such")


@pytest.mark.parametrize(
    "arguments",
    [
        ["none"],
        ["x" * 5000],
        ["\udcff"],
        ["mixed"],
        ["mixed/\udcff.yaml"],
        ["mixed/pipe.yaml"],
        ["mixed/a.yaml/x"],
        ["agent.yaml"],
        ["--config", "none"],
        ["--config", "mixed"],
        ["--config", "x" * 5000],
        ["--config", "broken.yaml"],
        ["--config", "agent.yaml", "none"],
    ],
)
def test_check_as_json_is_json_whatever_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "a.yaml").write_text('version: 1\npolicies: [{name: "\\e[31m\\ud800"}]')
    (mixed / "\udcff.yaml").write_text("version: 1\npolicies: {}\n")
    os.mkfifo(mixed / "pipe.yaml")
    (tmp_path / "agent.yaml").write_text("host: a b\n")
    (tmp_path / "broken.yaml").write_bytes(b"\xff\n: [")

    assert main(["check", "--json", *arguments]) == 1

    words = capsys.readouterr()
    answer = json.loads(words.out)
    assert answer["ok"] is False
    assert answer["problems"]
    json.dumps(answer, ensure_ascii=False).encode()  # no half of a surrogate pair, which many programs refuse
    assert words.err == ""


def test_check_as_json_of_what_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", str(ROOT / "config" / "policies")]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["problems"]) == (True, [])


_DOUBTFUL = """\
version: 1
policies:
  - name: again
    select: {name: "*"}
    when: restarts > 3 or memory.oom_kills > 2
    then: {restart: {}}
"""


def test_warnings_are_told_and_no_mistake_unless_they_are_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(_DOUBTFUL)
    assert main(["check", str(tmp_path)]) == 0
    words = capsys.readouterr()
    warning, summary = words.out.splitlines()
    assert warning.startswith(f"{tmp_path / 'a.yaml'}:5:11: warning: policies[0].when: this is still true after each")
    assert summary == f"{tmp_path}: 1 policy in 1 file, no problems, 1 warning"
    assert words.err == ""
    assert main(["check", "--strict", str(tmp_path)]) == 1
    words = capsys.readouterr()
    assert words.out.splitlines() == [warning, summary]
    assert words.err == "watchtower-agent: 1 warning, and --strict was given\n"


@pytest.mark.parametrize(("strict", "ok"), [((), True), (("--strict",), False)])
def test_warnings_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], strict: tuple[str, ...], ok: bool
) -> None:
    (tmp_path / "a.yaml").write_text(_DOUBTFUL)
    assert main(["check", "--json", *strict, str(tmp_path)]) == (0 if ok else 1)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["problems"]) == (ok, [])
    (warning,) = answer["warnings"]
    assert (warning["line"], warning["column"], warning["path"]) == (5, 11, "policies[0].when")
    assert warning["message"].startswith("this is still true after each restart")
    assert warning["remedy"].startswith("ask how many there were of late")


def test_the_configuration_says_what_a_policy_can_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text("sampling: {source: stats-api}\n")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "a.yaml").write_text(_DOUBTFUL.replace("restart:", "notify:"))
    assert main(["check", "--config", str(config)]) == 0
    (warning, *_) = capsys.readouterr().out.splitlines()
    assert "a.yaml:5:27: warning: policies[0].when: memory.oom_kills is never known with these settings" in warning
