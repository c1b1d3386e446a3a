"""Sentences that Home Assistant understands, and the intent of each. Needs `hassil` and `home-assistant-intents`.

A template of the package, such as `turn on [the] {name}`, is an episode: its sentences are drawn from it at random, and
are never in two parts. The package leaves the names of rooms and devices to each home; those here are ours.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.decisions.problem import Logged

LANGUAGE = "en"
SENTENCES = 12
"""Drawn from each template; equal ones count once."""
HOME = {
    "area": ["kitchen", "living room", "bedroom", "bathroom", "garage", "office", "garden", "hallway"],
    "floor": ["ground floor", "first floor", "basement", "attic"],
    "name": ["ceiling light", "desk lamp", "front door", "blinds", "heater", "tv", "washing machine", "fan", "outlet"],
}
_TRIES = 4
_FREE = ["milk", "pizza", "jazz", "the party", "call mum", "laundry", "tea"]
"""What stands where a template takes any words."""


def read_intents() -> Iterator[Logged]:
    """Yield sentences of every template."""
    from hassil.intents import Intents, TextSlotList
    from home_assistant_intents import get_intents

    found = get_intents(LANGUAGE)
    if found is None:
        raise ImportError(f"home-assistant-intents has no sentences in {LANGUAGE!r}: install the pinned version")
    intents = Intents.from_dict(found)
    lists = {**intents.slot_lists, **{name: TextSlotList.from_strings(words) for name, words in HOME.items()}}
    number = 0
    for name, intent in intents.intents.items():
        for data in intent.data:
            rules = {**intents.expansion_rules, **data.expansion_rules}
            for template in data.sentences:
                episode, rng = f"template {number}", random.Random(number)
                number += 1
                speaker = Speaker(rng, {**lists, **data.slot_lists}, rules)
                drawn = [" ".join(speaker.say(template.expression).split()) for _ in range(_TRIES * SENTENCES)]
                for step, sentence in enumerate(list(dict.fromkeys(drawn))[:SENTENCES]):
                    yield Logged(episode, step, {"said": sentence}, name)


class Speaker:
    """Draws one sentence of a template. `hassil.sample` lists all of them, which can be millions."""

    def __init__(self, rng: random.Random, lists: Mapping[str, Any], rules: Mapping[str, Any]) -> None:
        self._rng, self._lists, self._rules = rng, lists, rules

    def say(self, expression: Any) -> str:
        """Return words for an expression; raises `TypeError` for a kind that this version of hassil added."""
        from hassil import expression as kinds

        if isinstance(expression, kinds.TextChunk):
            return str(expression.original_text)
        if isinstance(expression, kinds.ListReference):
            return self._value(self._lists[expression.list_name])
        if isinstance(expression, kinds.RuleReference):
            return self.say(self._rules[expression.rule_name].expression)
        if isinstance(expression, kinds.Alternative):
            return self.say(self._rng.choice(expression.items))
        if isinstance(expression, kinds.Permutation):
            items = list(expression.items)
            self._rng.shuffle(items)
            return " ".join(map(self.say, items))
        if isinstance(expression, kinds.Sequence):
            return "".join(map(self.say, expression.items))
        raise TypeError(f"{type(expression).__name__}: hassil has a new kind of expression: teach Speaker.say about it")

    def _value(self, values: Any) -> str:
        from hassil.intents import RangeSlotList, TextSlotList

        if isinstance(values, TextSlotList):
            return self.say(self._rng.choice(values.values).text_in)
        if isinstance(values, RangeSlotList):
            return str(self._rng.randrange(values.start, values.stop + 1, values.step))
        return self._rng.choice(_FREE)
