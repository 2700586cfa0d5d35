"""Holds a bill of materials against the lock file: every package, in just that version, and nothing else.

python scripts/bill.py BILL LOCK
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ARGUMENTS = 3


def locked(text: str) -> set[tuple[str, str]]:
    """Name and version of each package of a lock file, names as they are compared."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {(plain(name), version) for name, version in found}


def billed(text: str) -> set[tuple[str, str]]:
    """Name and version of each component of a bill."""
    return {(plain(each["name"]), each["version"]) for each in json.loads(text).get("components", [])}


def plain(name: str) -> str:
    """A package's name as names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Exit code: 0 when both are the same."""
    if len(sys.argv) != ARGUMENTS:
        print("usage: bill.py BILL LOCK", file=sys.stderr)
        return 2
    bill, lock = (Path(name).read_text(encoding="utf-8") for name in sys.argv[1:])
    missing, more = locked(lock) - billed(bill), billed(bill) - locked(lock)
    for what, found in (("is not in the bill", missing), ("is in the bill and not in the lock file", more)):
        for name, version in sorted(found):
            print(f"bill: {name} {version} {what}", file=sys.stderr)
    if not missing and not more:
        print(f"bill: {len(locked(lock))} packages, as the lock file lists them", file=sys.stderr)
    return 1 if missing or more else 0


if __name__ == "__main__":
    sys.exit(main())
