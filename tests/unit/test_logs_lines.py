from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given, strategies as st

from watchtower_agent.logs import LogFormat, configure_logs, escaped

HOSTILE = 'web\x1b[2J\n{"level":"info"} \r\x9b31m\u202e\u2028'


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(format: LogFormat, *events: dict[str, object], level: str = "info") -> list[str]:  # noqa: A002 - the setting's name
    out = io.StringIO()
    configure_logs("debug", format, stream=out)
    for event in events:
        structlog.get_logger().log(logging.getLevelNamesMapping()[level.upper()], "container_died", **event)
    return out.getvalue().splitlines(keepends=True)


def test_json_has_time_level_and_a_stable_name() -> None:
    (line,) = lines("auto", {"container": "web", "exit_code": 1, "path": Path("/x")})
    event = json.loads(line)
    assert list(event)[:3] == ["time", "level", "event"]
    assert event | {"time": ""} == {
        "time": "",
        "level": "info",
        "event": "container_died",
        "container": "web",
        "exit_code": 1,
        "path": "/x",
    }
    assert event["time"].endswith("Z")


@pytest.mark.parametrize("format", ["json", "console"])
def test_hostile_values_stay_in_their_line(format: LogFormat) -> None:  # noqa: A002 - the setting's name
    (line,) = lines(format, {"container": HOSTILE, HOSTILE: 1})
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert "web" in line


@given(st.text(max_size=50))
def test_escaped_is_printable_enough(text: str) -> None:
    assert not any(ord(char) < 0x20 or 0x7E < ord(char) < 0xA0 or 0xD7FF < ord(char) < 0xE000 for char in escaped(text))


def test_very_long_values_are_cut() -> None:
    for format in ("json", "console"):  # noqa: A001 - the setting's name
        (line,) = lines(format, {"label": "x" * 65536})
        assert 1900 < len(line) < 2200


def test_console_lines_are_aligned_and_plain_off_a_terminal() -> None:
    first, second = lines("console", {"container": "web", "seconds": 0.123456789}, {"reason": "it was stopped"})
    assert first[9:] == "info     container_died           container=web seconds=0.123457\n"
    assert second[9:] == 'info     container_died           reason="it was stopped"\n'


def test_levels_are_filtered() -> None:
    out = io.StringIO()
    configure_logs("warning", "json", stream=out)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert json.loads(out.getvalue())["event"] == "loud"


def test_libraries_speak_from_warning_on_under_one_name() -> None:
    out = io.StringIO()
    configure_logs("debug", "json", stream=out)
    logging.getLogger("paho").info("chatter")
    logging.getLogger("urllib3.connectionpool").warning("Retrying %s", "x\n")
    event = json.loads(out.getvalue())
    assert (event["event"], event["logger"], event["message"]) == ("library", "urllib3.connectionpool", "Retrying x\n")


def _fail(text: str) -> None:
    raise RuntimeError(text)


def test_an_unexpected_error_keeps_its_stack_and_forges_no_line() -> None:
    out = io.StringIO()
    configure_logs("info", "console", stream=out)
    try:
        _fail("x\n12:00:00 info     all_is_well")
    except RuntimeError:
        structlog.get_logger().exception("unexpected")
    first, *stack = out.getvalue().splitlines()
    assert "error" in first
    assert len(stack) >= 4
    assert all(line.startswith("    | ") for line in stack)


def test_priorities_under_the_journal(tmp_path: Path) -> None:
    program = (
        "import structlog; from watchtower_agent.logs import configure_logs; configure_logs('debug');"
        "log = structlog.get_logger(); log.debug('a'); log.info('b'); log.warning('c'); log.error('d')"
    )
    file = tmp_path / "journal"
    with file.open("w") as journal:
        status = os.fstat(journal.fileno())
        names = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        subprocess.run([sys.executable, "-c", program], stderr=journal, env=os.environ | names, check=True)
        subprocess.run(
            [sys.executable, "-c", program], stderr=journal, env=os.environ | {"JOURNAL_STREAM": "1:1"}, check=True
        )
    assert [line[:3] for line in file.read_text().splitlines()] == ["<7>", "<6>", "<4>", "<3>", *['{"t'] * 4]
