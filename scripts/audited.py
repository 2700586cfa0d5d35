"""What came of an audit: what is known against which package, and what could not be asked.

    python scripts/audited.py REPORT WORDS LOCK [--strict]

REPORT is pip-audit's JSON, empty where it could not make one; WORDS is what it said meanwhile.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bill import locked, plain

FOUND: Final = 1
NOT_ASKED: Final = 3
_LONGEST: Final = 300


def verdict(report: str, words: str, lock: str, *, strict: bool) -> tuple[int, list[str]]:
    """Exit code and lines for people.

    Args:
        report: pip-audit's, as JSON; empty or cut where it could not make one.
        words: What it wrote to standard error.
        lock: Text of the lock file that was to be audited.
        strict: Not having asked about a package is a failure.
    """
    wanted = {name for name, _ in locked(lock)}
    found = _dependencies(report)
    asked = {plain(each["name"]) for each in found if "skip_reason" not in each}
    lines = [
        f"{each['name']} {each['version']}: {one['id']}, mended in {', '.join(one['fix_versions']) or 'no version yet'}"
        for each in found
        for one in each.get("vulns", ())
    ]
    if lines:
        return FOUND, [*lines, f"{len(lines)} known weaknesses: take other versions (scripts/lock --upgrade)"]
    missing = sorted(wanted - asked)
    if missing:
        why = next((each["skip_reason"] for each in found if "skip_reason" in each), _last(words))
        of = f"{len(missing)} of {len(wanted)}"
        told = f"NOT AUDITED: {of} packages could not be asked about ({why[:_LONGEST]})"
        then = "nothing is known of them; try again where the database can be reached"
        return (NOT_ASKED if strict else 0), [told, then]
    return 0, [f"{len(wanted)} packages, nothing is known against them"]


def _dependencies(report: str) -> Sequence[dict[str, Any]]:
    try:
        found = json.loads(report)["dependencies"]
    except (ValueError, LookupError, TypeError):
        return ()
    return found if isinstance(found, list) else ()


def _last(words: str) -> str:
    return next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "no word why")


def main() -> int:
    """Exit code as `verdict` says."""
    *files, last = sys.argv[1:]
    strict = last == "--strict"
    names = files if strict else [*files, last]
    report, words, lock = (Path(name).read_text(encoding="utf-8", errors="replace") for name in names)
    code, lines = verdict(report, words, lock, strict=strict)
    for line in lines:
        print(f"audit: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
