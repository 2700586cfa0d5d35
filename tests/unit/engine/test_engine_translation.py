"""What requests raise, the SDK's and our own: whether the engine was asked, and whether it answered."""

from __future__ import annotations

import json
from http.client import IncompleteRead, RemoteDisconnected
from pathlib import Path

import pytest
import requests
import urllib3
from docker.errors import DockerException

from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.sdk_transport import sdk_errors
from watchtower_agent.engine.translation import EngineRefusedError, EngineTimeoutError, accepted, translated
from watchtower_agent.engine.transport import Answer
from watchtower_agent.errors import (
    AbsentError,
    ConflictError,
    ForbiddenError,
    PermanentError,
    RemovedError,
    TemporaryError,
    UnansweredError,
    WatchtowerError,
)


def told(error: Exception) -> WatchtowerError:
    with pytest.raises(WatchtowerError) as found, translated("restart of web"), sdk_errors():
        raise error
    return found.value


def refused(status: int, explanation: str = "no such thing") -> WatchtowerError:
    with pytest.raises(WatchtowerError) as found, translated("restart of web"):
        accepted(Answer(status=status, content=json.dumps({"message": explanation}).encode()))
    return found.value


_RUNC = "failed to create task for container: runc create failed: unable to start container process: "


@pytest.mark.parametrize(
    ("said", "told_is"),
    [
        ('exec: "nginx": executable file not found in $PATH: unknown', None),
        ('exec: "/docker-entrypoint.sh": stat /docker-entrypoint.sh: no such file or directory: unknown', None),
        ("crun: executable file `/bin/x-1.2` not found: No such file or directory", None),
        ('exec: "PW=s3cr3t run": executable file not found in $PATH', 'exec: "…": executable file not found in $PATH'),
        ('exec: "/x/PW=s3cr3t": stat /x/PW=s3cr3t: no such file', 'exec: "…": stat …: no such file'),
        ('exec: "say \\"s3cr3t\\" x": not found', 'exec: "…": not found'),
        ("crun: executable file `a s3cr3t` not found", "crun: executable file `…` not found"),
        ('exec: "": executable file not found in $PATH', None),
        ('exec: "run --password s3cr3t ' + "x" * 5000, 'exec: "…'),
    ],
)
def test_what_a_container_was_to_run_is_repeated_by_its_programs_name_alone(said: str, told_is: str | None) -> None:
    assert str(refused(400, _RUNC + said)).endswith(f": {_RUNC}{told_is or said}")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (requests.ReadTimeout("read timed out"), "the engine did not answer in time"),
        (requests.ConnectionError(urllib3.exceptions.ProtocolError("Aborted", RemoteDisconnected("x"))), "hung up"),
        (requests.ConnectionError(ConnectionResetError(104, "Connection reset by peer")), "hung up"),
        (requests.ConnectionError(BrokenPipeError(32, "Broken pipe")), "hung up"),
        (urllib3.exceptions.ClosedPoolError(None, "Pool is closed."), "Pool is closed"),  # type: ignore[arg-type] # it is not looked at
        (ValueError("read of closed file"), "read of closed file"),
        (DockerException("out of order"), "out of order"),
        (RemoteDisconnected("x"), "hung up"),
        (ConnectionResetError(104, "Connection reset by peer"), "hung up"),
        (BrokenPipeError(32, "Broken pipe"), "hung up"),
        (IncompleteRead(b"half"), "IncompleteRead"),
        (TimeoutError("timed out"), "did not answer in time"),
    ],
)
def test_what_may_have_reached_the_engine_is_unanswered(error: Exception, words: str) -> None:
    found = told(error)

    assert isinstance(found, UnansweredError)
    assert words in str(found)


@pytest.mark.parametrize(
    ("status", "explanation", "kind"),
    [
        (404, "no such container", AbsentError),
        (429, "slow down", TemporaryError),
        (500, "no such thing", TemporaryError),
        (409, "no such thing", PermanentError),
        (500, "rpc error: code = Unknown desc = update out of sequence", ConflictError),
        (409, "removal of container c is already in progress", RemovedError),
        (409, "container c is marked for removal and cannot be started", RemovedError),
    ],
)
def test_what_the_engine_refused_is_told_in_its_words(
    status: int, explanation: str, kind: type[WatchtowerError]
) -> None:
    found = refused(status, explanation)

    assert isinstance(found, kind)
    assert not isinstance(found, UnansweredError)
    assert str(found) == f"restart of web: the engine refused ({status}): {explanation}"


@pytest.mark.parametrize("content", [b"not found", b'["not found"]', b'{"error": "not found"}', b"\xff not found"])
def test_a_refusal_in_another_form_is_told_as_it_came(content: bytes) -> None:
    with pytest.raises(AbsentError, match="not found"), translated("restart of web"):
        accepted(Answer(status=404, content=content))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (requests.ConnectionError(ConnectionRefusedError(111, "refused")), EngineRefusedError),
        (requests.ConnectionError(PermissionError(13, "denied")), TemporaryError),
        (ConnectionRefusedError(111, "refused"), EngineRefusedError),
        (FileNotFoundError(2, "No such file"), EngineRefusedError),
        (PermissionError(13, "denied"), TemporaryError),
    ],
)
def test_what_the_engine_never_heard_of_is_not_unanswered(error: Exception, kind: type[WatchtowerError]) -> None:
    found = told(error)

    assert isinstance(found, kind)
    assert not isinstance(found, UnansweredError)


def test_a_timeout_is_told_as_one() -> None:
    assert isinstance(told(requests.ConnectTimeout("no")), EngineTimeoutError)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_an_address_that_is_no_socket_is_told_as_that(what: str, tmp_path: Path) -> None:
    place = tmp_path / "docker.sock"
    place.mkdir() if what == "folder" else place.touch()
    calls = EngineCalls(EngineAddress(url=f"unix://{place}", source="test"), clock=SystemClock(), timeout=1.0)

    with pytest.raises(EngineRefusedError, match=r"docker\.sock is no socket; set engine\.url to the engine's"):
        calls.connect()


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("GET", "/containers/0a1b/changes", "GET /containers/{id}/changes"),
        ("HEAD", "/containers/0a1b/archive", "HEAD /containers/{id}/archive"),
    ],
)
def test_a_request_that_is_not_let_through_is_named_as_the_documentation_lists_it(
    method: str, path: str, named: str
) -> None:
    with pytest.raises(ForbiddenError) as found, translated("cloning web", method, path):
        accepted(Answer(status=403, content=b""))
    assert found.value.endpoint == named
    assert str(found.value).startswith(f"cloning web: {named} is not let through (403): no reason given")
