"""What stands behind an option of the command line, as the value that is meant.

Each raises argparse.ArgumentTypeError, in words for the one who typed it.
"""

from __future__ import annotations

import argparse


def assignment(text: str) -> tuple[str, str | None]:
    """`key=value` of `--set`; `null` is None."""
    key, found, value = text.partition("=")
    if not found or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, None if value == "null" else value


def limit(text: str) -> int:
    """How many rows of history, from 1 to 10,000."""
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:6]) <= 10_000:  # noqa: PLR2004 - as the agent's
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 1 and 10000")
    return int(text)


def interval(text: str) -> float:
    """Seconds between two looks of `top`."""
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 0.2 <= seconds <= 3600:  # noqa: PLR2004 - an agent that is asked more often does little else
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0.2 and 3600")
    return seconds


def pause_for(text: str) -> int:
    """How long a pause lasts, in seconds, 30 days at most."""
    return _seconds(text, most=30 * 86400, shown="30d")


def last(text: str) -> int:
    """How much of the past is drawn, in seconds, 24 hours at most."""
    return _seconds(text, most=86400, shown="24h")


def reason(text: str) -> str:
    """Why, for others to read: 200 characters at most."""
    if len(text) > 200:  # noqa: PLR2004 - as the agent's
        raise argparse.ArgumentTypeError("a reason has at most 200 characters")
    return text


def _seconds(text: str, *, most: int, shown: str) -> int:
    from watchtower_agent.policies.quantities import QuantityError, parse_duration  # noqa: PLC0415 - loaded only where it is asked for

    try:
        seconds = parse_duration(text)
    except QuantityError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 1 <= seconds <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration between 1s and {shown}")
    return int(seconds)
