from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from aegis.agent.knowledge import KnowledgeBase, KnowledgeItem
from aegis.rendering import clean_text

any_text = st.text(st.characters(), max_size=100)  # halves of surrogate pairs among them


@given(any_text, any_text)
@example("half \ud83d", "\udc00")
def test_any_text_has_an_id_that_its_kept_form_shares(title, text):
    kept = KnowledgeItem("", clean_text(title), clean_text(text), "")
    assert KnowledgeItem("topic", title, text, "source").id == kept.id
    assert len(kept.id) == 64


def test_other_words_are_another_item_and_another_source_is_not(database, clock):
    base = KnowledgeBase(database)
    assert base.add(KnowledgeItem("t", "Title", "text", "a"), "g", clock())
    assert not base.add(KnowledgeItem("u", "Title", "text", "b"), "h", clock())
    assert base.add(KnowledgeItem("t", "Title", "text two", "a"), "g", clock())
    assert base.add(KnowledgeItem("t", "Title two", "text", "a"), "h", clock())
    assert (base.count(), base.count("g"), base.count("h"), base.count("none")) == (3, 2, 1, 0)
    assert (base.latest_title("g"), base.latest_title("h"), base.latest_title("none")) == ("Title", "Title two", None)
