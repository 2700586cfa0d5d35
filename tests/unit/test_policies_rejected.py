"""What the agent says of a policy folder that it can't take."""

from __future__ import annotations

from tests.support.core import Host
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import PoliciesRejected

PROBLEM = "a.yaml:1:1: no"


def told(agent: Host) -> str:
    agent.see(PoliciesRejected(problems=(PROBLEM,), at=agent.clock.now().wall))
    return agent.of(Notice)[-1].reason


def test_broken_from_the_start_it_leaves_no_policy_active() -> None:
    agent = Host(first_start=True)
    agent.comes_back(with_policies=False)

    assert told(agent) == (
        f"the policy folder has 1 problem; no policy is active until that is mended. The first: {PROBLEM}"
    )


def test_broken_later_the_last_good_set_goes_on_even_if_it_was_empty() -> None:
    agent = Host(first_start=True)

    assert told(agent) == f"the policy folder has 1 problem; the last good set keeps running. The first: {PROBLEM}"


def test_of_ten_thousand_problems_the_first_ones_are_told_and_how_many_there_are() -> None:
    agent = Host(first_start=True)
    kept = tuple(f"a.yaml:{line}:1: no" for line in range(1, 1001))
    agent.see(PoliciesRejected(problems=kept, at=agent.clock.now().wall, more=9000))

    notice = agent.of(Notice)[-1]
    assert notice.reason.startswith("the policy folder has 10000 problems; the last good set keeps running.")
    assert (notice.data["problems"], notice.data["count"]) == (list(kept[:50]), 10_000)
    (message,) = agent.steps[-1].events
    assert len(message.payload) < 10_000
    assert agent.pipeline.problem_count == 10_000
