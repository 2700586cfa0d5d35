"""`scripts/fuzz`: tries every target for a bounded time, and keeps what they did not bear."""

from __future__ import annotations

import argparse
import hashlib
import random
import secrets
import sys
from pathlib import Path

from tests.fuzz.fuzzing import Fuzzer, for_seconds
from tests.fuzz.targets import TARGETS


def _say(text: str) -> None:
    sys.stdout.write(f"fuzz: {text}\n")
    sys.stdout.flush()


def main() -> int:
    """Exit code: 0 when every target bore everything."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of CPU for all targets together (default: 60)")
    parser.add_argument("--target", action="append", choices=[target.name for target in TARGETS], help="only this one")
    parser.add_argument("--seed", default="", help="of an earlier run, to try the same again")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="folder for what was not borne")
    options = parser.parse_args()
    seed = options.seed or secrets.token_hex(4)
    targets = [target for target in TARGETS if options.target is None or target.name in options.target]
    _say(f"seed {seed}, {options.seconds:g} s of CPU for {len(targets)} targets")
    found = 0
    for target in targets:
        fuzzer = Fuzzer(target, random.Random(f"{seed} {target.name}"))
        for finding in fuzzer.findings(for_seconds(options.seconds / len(targets))):
            found += 1
            file = options.keep / target.name / hashlib.sha256(finding.data).hexdigest()[:16]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(finding.data)
            _say(f"{target.name} did not bear {file}:\n{finding.why}")
        _say(f"{target.name:<14} {fuzzer.tries:>9,} inputs")
    if found:
        _say(f"{found} findings; put each input into tests/data/fuzz/<target>/, mend what it shows")
    return 1 if found else 0


sys.exit(main())
