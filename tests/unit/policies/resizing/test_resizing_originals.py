"""What a limit goes back to: whatever happened, what somebody else had made of it last, or nothing."""

from __future__ import annotations

import json
import math

from hypothesis import given, strategies as st

from watchtower_agent.policies.resizing.standing import Standing, same

MIB = 2.0**20
BY_AGENT = st.integers(64, 2048).map(lambda each: each * MIB)
BY_OTHERS = st.sampled_from([3000 * MIB, 4000 * MIB, 5000 * MIB, math.inf])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("agent"), BY_AGENT),
        st.tuples(st.just("others"), BY_OTHERS),
        st.tuples(st.sampled_from(["recreated", "restarted", "reverted", "held"]), st.just(0.0)),
    ),
    max_size=20,
)


@given(BY_OTHERS, STEPS)
def test_it_goes_back_to_what_others_had_made_of_it(first: float, steps: list[tuple[str, float]]) -> None:
    standing, limit, others, at = Standing().seen(first, 0.0, recreated=False), first, first, 0.0
    for what, amount in steps:
        at += 60.0
        if what == "agent":
            standing, limit = standing.begun(amount), amount
        elif what == "held":
            standing = standing.begun(100 * MIB)
        elif what == "others":
            limit = others = amount
        elif what == "recreated":
            limit = others
        elif what == "restarted":
            standing = Standing.restored(json.loads(json.dumps(standing.stored(at))), at)
        else:
            back = standing.original_of(limit, at, recreated=False)
            standing, limit = standing.not_expected(), limit if back is None else back
            standing = standing if back is None else standing.not_given()
        back = standing.original_of(limit, at, recreated=what == "recreated")
        assert back is None if same(limit, others) else back == others
        standing = standing.seen(limit, at, recreated=what == "recreated")
        assert standing.original_of(limit, at, recreated=False) == back
