from __future__ import annotations

import pytest

from aegis.research import RESEARCH_ACTIONS
from aegis.workspace import Workspace
from benchmarks.whole_way import Settings, TurncoatTeacher, WholeWay

STATE = {"options": ["search: What is WAL?", "idle"], "human": "away"}


def test_a_teacher_that_turned_asks_where_it_searched():
    teacher = TurncoatTeacher()
    before = teacher.decide([STATE], RESEARCH_ACTIONS)[0].probabilities
    teacher.turned = True
    after = teacher.decide([STATE], RESEARCH_ACTIONS)[0].probabilities
    search, ask = (RESEARCH_ACTIONS.index(name) for name in ("web_search", "ask_human"))
    assert max(before) == before[search]
    assert max(after) == after[ask]
    assert sum(after) == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_shadow_canary_full_a_drop_a_roll_back_and_the_same_way_again(tmp_path):
    lines = []
    settings = Settings(collect=300, shadow=30, canary=0.5, canary_decisions=20, serve=50, cool_down=50, audit_rate=0.5)
    steps = WholeWay(Workspace(tmp_path / "w"), settings, lines.append).run()
    left = iter([step.kind for step in steps])  # a stage may refuse a candidate on the way
    way = ["shadowed", "canary", "promoted", "rolled_back", "shadowed", "canary", "promoted"]
    assert all(kind in left for kind in way)
    back = next(step for step in steps if step.kind == "rolled_back")
    served = [step.model for step in steps if step.kind == "promoted"]
    assert (back.who, back.previous, back.model) == ("monitor", served[0], None)
    assert back.evidence["audits"] > 0
    assert len(set(served)) == 2
    assert any("planted drop" in line for line in lines)
