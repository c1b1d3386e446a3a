"""A support desk whose decisions move from a language model to a small model of its own.

    python agent.py                          # some minutes: the real model, trained on 1,100 decisions
    python agent.py --small --collect 200    # a minute: a small model, to see the whole way

Change four things to make it yours: ACTIONS, `ask_llm`, `next_ticket` and `reward_of`.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import aegis
from aegis.config import HRMConfig, TrainingConfig

POINT = "support"
"""The name of the decision point: workspace/points/support holds all that is recorded and learned"""

ACTIONS = {
    "refund": "give the money back",
    "escalate": "hand the customer to a person",
    "answer": "answer in words",
}
"""What the agent may do, each with a description"""

WORDS = {
    "refund": ("arrived broken", "was charged twice", "never came"),
    "escalate": ("my lawyer will call", "this is the third time", "I will tell the press"),
    "answer": ("how do I install it", "where is my parcel", "which size fits"),
}
"""The made-up customers' words; a real agent has real tickets"""

HRM_DECISIONS = 20
"""The agent leaves after so many decisions of the small model"""


def ask_llm(state: Mapping[str, Any], actions: Sequence[str]) -> str:
    """Return the action of the teacher. Ask your language model here; this rule stands for one."""
    return next((name for name in actions if any(words in state["ticket"] for words in WORDS[name])), "answer")


def next_ticket(draw: random.Random) -> dict[str, Any]:
    """Return what the agent knows before it decides: any JSON object."""
    words = draw.choice([one for several in WORDS.values() for one in several])
    return {
        "ticket": f"Order {draw.randrange(10_000)}: {words}",
        "customer": {"tier": draw.choice(["gold", "new"]), "orders": draw.randrange(1, 30)},
    }


def carry_out(action: str, ticket: Mapping[str, Any]) -> None:
    """Do what was decided. Here it is nothing; your agent's own code stays as it is."""


def reward_of(action: str, ticket: Mapping[str, Any]) -> float:
    """Return what the decision brought, once you know it: 1 for a happy customer, less for a person's time."""
    happy = any(words in ticket["ticket"] for words in WORDS[action])
    return float(happy) - (0.2 if action == "escalate" else 0.0)


def make_config(options: argparse.Namespace) -> aegis.DeciderConfig:
    """Return when and how the decision point trains and switches."""
    if not options.small:
        return aegis.DeciderConfig(collect=options.collect)
    shape = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2)
    return aegis.DeciderConfig(
        collect=options.collect, model=shape, training=TrainingConfig(epochs=12, learning_rate=3e-3)
    )


def run(decider: aegis.Decider, options: argparse.Namespace) -> bool:
    """Decide ticket after ticket; return whether the small model has taken over."""
    draw = random.Random(options.seed)
    by_hrm = 0
    for number in range(1, options.decisions + 1):
        ticket = next_ticket(draw)
        decision = decider.decide(ticket)
        carry_out(decision.action, ticket)
        # Or later, from anywhere: decider.report(id, ...), or `aegis report ID --reward 1.0`.
        decider.report(decision, reward=reward_of(decision.action, ticket))
        by_hrm += decision.policy.startswith("hrm")
        if number % 100 == 0:
            print(f"{number} decisions, the last one: {decision.action} by {decision.policy}", flush=True)
        if by_hrm == HRM_DECISIONS:
            print(f"{decision.policy} made the last {by_hrm} of {number} decisions", flush=True)
            return True
        if number >= options.collect:
            time.sleep(0.1)  # the training runs beside: a real agent waits for its customers here
    return False


def main() -> None:
    """Read the options, and run until the small model decides."""
    parser = argparse.ArgumentParser(description="A support desk that learns to decide by itself.")
    parser.add_argument("--decisions", type=int, default=20_000, help="leave after so many decisions")
    parser.add_argument("--collect", type=int, default=1100, help="the teacher's decisions before the training")
    parser.add_argument("--small", action="store_true", help="train a small model, to see the whole way quickly")
    parser.add_argument("--seed", type=int, default=0, help="of the made-up tickets")
    options = parser.parse_args()
    with aegis.Decider(
        POINT,
        actions=ACTIONS,
        teacher=ask_llm,
        config=make_config(options),
        notify=lambda event: print(f"* {event.message}", flush=True),
    ) as decider:
        switched = run(decider, options)
    print("See where it stands: aegis status --point support")
    if not switched:
        print(f"The small model has not taken over within {options.decisions} decisions.")


if __name__ == "__main__":
    main()
