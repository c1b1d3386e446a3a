"""OpenAI Agents SDK: a triage agent chooses the specialist for a ticket, until an HRM takes the triage over."""

from typing import Literal, get_args

from agents import Agent, Runner

import aegis

Action = Literal["refund", "escalate", "answer"]


def handle(tickets, model, workspace="workspace"):
    triage = Agent("triage", instructions="Choose who handles the ticket.", model=model, output_type=Action)
    specialists = {name: Agent(name, instructions=f"You {name}.", model=model) for name in get_args(Action)}

    def ask_model(state, actions):
        return Runner.run_sync(triage, state["ticket"]).final_output

    with aegis.Decider("support-router", get_args(Action), ask_model, workspace=workspace) as decider:
        chosen = [specialists[decider.decide({"ticket": text}).action] for text in tickets]
    return [Runner.run_sync(agent, text).final_output for agent, text in zip(chosen, tickets, strict=True)]
