from __future__ import annotations

import pytest

from aegis.errors import PolicyFailedError
from aegis.lifecycle.policies.guard import GuardedPolicy, Patience
from aegis.research import RESEARCH_ACTIONS
from aegis.testing import ScriptedTeacher, check_policy


def test_a_guarded_policy_is_a_policy_and_can_be_exchanged():
    guarded = GuardedPolicy(ScriptedTeacher())
    check_policy(guarded)
    guarded.policy = ScriptedTeacher(name="another")
    assert guarded.name == "another"


def test_any_error_that_a_policy_raises_is_the_policys_failure():
    def broken(state, actions):
        raise OSError("connection refused")

    with pytest.raises(PolicyFailedError, match="scripted: connection refused") as caught:
        GuardedPolicy(ScriptedTeacher(broken)).decide([{}], RESEARCH_ACTIONS)
    assert isinstance(caught.value.__cause__, OSError)


def test_pauses_double_up_to_the_longest_and_start_over_after_a_success():
    patience = Patience(1, 10)
    assert [patience.next_pause() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert patience.exhausted
    patience.reset()
    assert not patience.exhausted
    assert patience.next_pause() == 1
