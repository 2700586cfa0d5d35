"""What a private engine and the demo's own leave as it is: the network of an engine that the machine runs already.

Everything here happens in a network namespace of its own: where these tests fail, no real `docker0` is lost.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

NEIGHBOUR = """
set -euo pipefail
trap : INT
ip link set lo up
ip link add docker0 type bridge
ip address add 172.17.0.1/16 dev docker0
ip link set docker0 up
iptables -N DOCKER
iptables -A FORWARD -o docker0 -j DOCKER
network() { ip -o link | cut -d' ' -f1,2; ip -o -4 address; iptables-save | sed '/^#/d; s/\\[.*//'; }
before=$(network)
"$@" >&2
diff <(echo "$before") <(network)
"""
"""The network of another engine, a command, and the difference that the command made."""

LIFE = """
from tests.support.engine import PrivateEngine

with PrivateEngine() as first, PrivateEngine() as second:
    for engine in (first, second):
        engine.run("one", network="bridge")
    assert first.docker("exec", "one", "hostname", "-i") != second.docker("exec", "one", "hostname", "-i")
    second.kill()
    second.start()
    second.run("two", network="bridge")
    second.kill()
"""
CRASH = "import os\nfrom tests.support.bridge import Bridge\nBridge()\nos._exit(9)\n"
AFTER_A_CRASH = "from tests.support.bridge import Bridge\nBridge().remove()\n"

DEMO = """
trap : INT
scripts/run --demo 2>&1 | {
  trap '' INT
  while read -r line; do
    echo "$line"
    [[ $line != *"what happened"* ]] || kill -INT 0
  done
}
"""
"""The demo with an engine of its own, until it shows its workload."""


def beside_a_neighbour(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command where another engine has its network."""
    return subprocess.run(
        ["unshare", "--net", "bash", "-c", NEIGHBOUR, "neighbour", *command],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        start_new_session=True,
    )


def test_a_private_engine_leaves_the_machine_s_network_as_it_is() -> None:
    verdict = beside_a_neighbour(sys.executable, "-c", LIFE)

    assert (verdict.returncode, verdict.stdout) == (0, ""), verdict.stderr


def test_the_bridge_of_a_run_that_was_killed_is_removed_by_the_next() -> None:
    verdict = beside_a_neighbour(
        *("bash", "-c", '"$0" -c "$1" || [ $? = 9 ]; ip -o link show type bridge; "$0" -c "$2"'),
        *(sys.executable, CRASH, AFTER_A_CRASH),
    )

    assert " wtb" in verdict.stderr
    assert (verdict.returncode, verdict.stdout) == (0, ""), verdict.stderr


def test_an_engine_of_the_demo_s_own_leaves_the_machine_s_network_as_it_is(tmp_path: Path) -> None:
    verdict = beside_a_neighbour("bash", "-c", DEMO, DOCKER_HOST=f"unix://{tmp_path}/none.sock")

    assert "starting one of our own" in verdict.stderr
    assert "are removed" in verdict.stderr
    assert (verdict.returncode, verdict.stdout) == (0, ""), verdict.stderr
