"""The engine's service through `systemctl`: what is asked, what its answers mean, and answers that do not come."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.systemctl import Systemctl
from watchtower_agent.engine.translation import EngineRefusedError
from watchtower_agent.engine.unit import SystemdUnit
from watchtower_agent.errors import PermanentError, TemporaryError, UnansweredError
from watchtower_agent.model.unit import Sign, UnitState

QUIET = "--no-ask-password --no-pager"
PROPERTIES = "LoadState,ActiveState,SubState,Job,ActiveEnterTimestampMonotonic,InvocationID"


async def _answers() -> None:
    return


def _fails(error: Exception, cause: Exception | None = None) -> Callable[[], Awaitable[None]]:
    async def ping() -> None:
        raise error from cause

    return ping


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    stand_in = Systemctl(tmp_path)
    monkeypatch.setenv("PATH", stand_in.path)
    return stand_in


async def test_it_is_asked_for_exactly_this(systemctl: Systemctl) -> None:
    unit = SystemdUnit("docker.service", _answers)
    await unit.look()
    await unit.restart()
    assert systemctl.asked == [
        f"{QUIET} show --property=SystemState",
        f"{QUIET} show --property={PROPERTIES} -- docker.service",
        f"{QUIET} --no-block restart -- docker.service",
    ]


async def test_what_it_says_becomes_values(systemctl: Systemctl) -> None:
    unit = SystemdUnit("docker.service", _answers)
    systemctl.says(active="activating", sub="auto-restart", since=12.5, invocation="f00", job=77)
    systemctl.system("degraded")
    assert await unit.look() == UnitState(
        name="docker.service",
        load="loaded",
        active="activating",
        sub="auto-restart",
        job=True,
        active_since=12.5,
        invocation="f00",
        system="degraded",
    )
    systemctl.says(load="not-found", active="inactive", sub="dead", since=0)
    seen = await unit.look()
    assert (seen.load, seen.active_since, seen.job) == ("not-found", None, False)
    (systemctl.folder / "unit").write_text("ActiveEnterTimestampMonotonic=²\nnonsense\n=\n")
    seen = await unit.look()
    assert (seen.load, seen.active, seen.active_since) == ("not known", "not known", None)
    assert seen.hands_off(0.0)


@pytest.mark.parametrize(
    "complaint",
    [
        "Failed to restart docker.service: Interactive authentication required.",
        "Failed to restart docker.service: Access denied",
    ],
)
async def test_polkit_refuses(systemctl: Systemctl, complaint: str) -> None:
    systemctl.on_restart(f"echo '{complaint}' >&2; exit 4")
    with pytest.raises(PermanentError) as refused:
        await SystemdUnit("docker.service", _answers).restart()
    assert complaint.rstrip(".") in str(refused.value)
    assert "the rule for polkit is missing or does not fit (docs/service.md)" in str(refused.value)


async def test_other_refusals_are_told_in_its_words(systemctl: Systemctl) -> None:
    systemctl.on_restart(r"printf 'Unit \033[1mdocker.service\033[0m not found.\n%0500d' 0 >&2; exit 5")
    unit = SystemdUnit("docker.service", _answers)
    with pytest.raises(PermanentError) as refused:
        await unit.restart()
    assert str(refused.value).startswith("systemctl refuses: Unit [1mdocker.service [0m not found. 0")
    assert len(str(refused.value)) < 350
    systemctl.on_restart("exit 3")
    with pytest.raises(PermanentError, match="systemctl refuses: exit code 3"):
        await unit.restart()


async def test_one_that_hangs_is_ended(systemctl: Systemctl) -> None:
    systemctl.always(f"echo $$ > {systemctl.folder}/pid; exec sleep 600")
    began = time.monotonic()
    with pytest.raises(TemporaryError, match=r"gave no answer within 0\.5 s"):
        await SystemdUnit("docker.service", _answers, may_take=0.5).look()
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((systemctl.folder / "pid").read_text()), 0)


async def test_a_machine_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PermanentError, match="systemctl can't be run"):
        await SystemdUnit("docker.service", _answers).look()


async def test_nothing_of_the_agents_environment_goes_along(
    systemctl: Systemctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHTOWER_AGENT_MQTT__PASSWORD", "secret")
    systemctl.on_restart(f"env > {systemctl.folder}/env")
    await SystemdUnit("docker.service", _answers).restart()
    names = {line.partition("=")[0] for line in (systemctl.folder / "env").read_text().splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "LC_ALL"}


@pytest.mark.parametrize(
    ("ping", "sign"),
    [
        (_fails(UnansweredError("in time")), Sign.SILENT),
        (_fails(EngineRefusedError("nobody"), ConnectionRefusedError()), Sign.SILENT),
        (_fails(EngineRefusedError("nobody"), FileNotFoundError()), Sign.OUT_OF_REACH),
        (_fails(TemporaryError("permission denied")), Sign.OUT_OF_REACH),
        (_fails(PermanentError("not let through")), Sign.OUT_OF_REACH),
    ],
)
async def test_only_an_engine_that_is_silent_is_said_to_be(ping: Callable[[], Awaitable[None]], sign: Sign) -> None:
    assert await SystemdUnit("docker.service", ping).sign() is sign


async def test_whether_the_engine_answers() -> None:
    assert await SystemdUnit("docker.service", _answers).sign() is Sign.ANSWERS
