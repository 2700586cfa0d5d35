"""The agent's log: stable event names, values that can't forge a line, one format for people and one for machines."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]

LONGEST_VALUE: Final = 2000
"""Characters of one value in a line at most."""

# What moves a cursor, ends a line or turns the direction of text. A log line shows it as an escape.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""Level -> syslog priority."""
_COLOURS: Final = {"critical": "1;31", "error": "31", "warning": "33", "info": "32", "debug": "2"}
_FIRST: Final = ("time", "level", "event")

_Event = MutableMapping[str, Any]
_NUMBERS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_least = [_NUMBERS["info"]]
"""The least severe level that is written, as a number: loggers are made once, and this may change."""


def escaped(text: str) -> str:
    """The text on one line, control characters shown as escapes, its end cut when it is very long."""
    if len(text) > LONGEST_VALUE:
        text = f"{text[: LONGEST_VALUE - 1]}…"
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text) if not text.isprintable() else text


def configure_logs(level: LogLevel = "info", format: LogFormat = "auto", *, stream: TextIO | None = None) -> None:  # noqa: A002 - the setting's name
    """Set up the log of this process, the libraries' included.

    Args:
        level: The least severe line that is written. Libraries' lines are written from warning on.
        format: auto is console on a terminal and JSON otherwise, with `<N>` priorities under journald.
        stream: Where to; standard error by default.
    """
    out = sys.stderr if stream is None else stream
    console = format == "console" or (format == "auto" and out.isatty())
    renderer = _Console(colours=out.isatty()) if console else _Json(priorities=_is_journal(out))
    set_log_level(level)
    structlog.configure(
        processors=[
            _severe_enough,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not console, key="time"),
            _exception,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("debug"),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_LibraryLines()]
    root.setLevel(logging.WARNING)


def set_log_level(level: LogLevel) -> None:
    """From now on no less severe line is written."""
    _least[0] = _NUMBERS[level]


def _severe_enough(_logger: object, method: str, event: _Event) -> _Event:
    if _NUMBERS.get(method, _NUMBERS["critical"]) < _least[0]:
        raise structlog.DropEvent
    return event


def _is_journal(stream: TextIO) -> bool:
    """Whether the stream is the journal's: systemd names its device and inode."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


def _exception(_logger: object, _method: str, event: _Event) -> _Event:
    """An unexpected error's stack, as text. Expected errors are values of their own, never passed as `exc_info`."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    elif isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if info and info[0] is not None:
        event["exception"] = "".join(traceback.format_exception(*info)).rstrip()
    return event


class _Json:
    """One JSON object a line. ASCII only, so that nothing in it moves a cursor."""

    def __init__(self, *, priorities: bool) -> None:
        self._priorities = priorities

    def __call__(self, _logger: object, _method: str, event: _Event) -> str:
        ordered = {name: event[name] for name in _FIRST if name in event}
        ordered |= {str(name): _cut(value) for name, value in event.items() if name not in _FIRST}
        line = json.dumps(ordered, skipkeys=True, default=lambda value: escaped(str(value)), separators=(",", ":"))
        return f"<{_PRIORITIES.get(event.get('level', 'info'), 6)}>{line}" if self._priorities else line


def _cut(value: object) -> object:
    return f"{value[: LONGEST_VALUE - 1]}…" if isinstance(value, str) and len(value) > LONGEST_VALUE else value


class _Console:
    """Aligned lines for a person: local time, level, event, then the values."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: object, _method: str, event: _Event) -> str:
        time = str(event.pop("time", ""))[11:19]
        level = str(event.pop("level", "info"))
        name = escaped(str(event.pop("event", "")))
        stack = event.pop("exception", None)
        values = " ".join(f"{escaped(str(key))}={_value(value)}" for key, value in event.items())
        mark = self._paint(f"{level:<8}", _COLOURS.get(level, "0"))
        line = f"{self._paint(time, '2')} {mark} {name:<24} {values}".rstrip()
        if stack:
            # Each line of a stack is marked, so that a text inside it can't pass for a line of the log.
            line += "".join(f"\n    | {escaped(part)}" for part in str(stack).splitlines())
        return line

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = escaped(str(value))
    return text if text and " " not in text and '"' not in text else json.dumps(text, ensure_ascii=False)


class _LibraryLines(logging.Handler):
    """Lines of libraries, in the agent's own format under one event name."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger().log(
                record.levelno, "library", logger=record.name, message=record.getMessage(), exc_info=record.exc_info
            )
        except Exception:  # noqa: BLE001 - a line that can't be formatted must not end what logged it
            self.handleError(record)
