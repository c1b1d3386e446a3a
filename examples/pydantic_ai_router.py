"""Pydantic AI: an agent with a literal output is the teacher. `model` is asked until an HRM takes over."""

from typing import Literal, get_args

from pydantic_ai import Agent

import aegis

Action = Literal["refund", "escalate", "answer"]


def handle(tickets, model, workspace="workspace"):
    router = Agent(model, output_type=Action, instructions="Route the customer's ticket.")

    def ask_model(state, actions):
        return router.run_sync(state["ticket"]).output

    with aegis.Decider("support-router", get_args(Action), ask_model, workspace=workspace) as decider:
        return [f"{decider.decide({'ticket': text}).action}: {text}" for text in tickets]
