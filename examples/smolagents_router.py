"""smolagents: the model chooses which of several agents works on a task, until an HRM takes that over."""

from smolagents import ChatMessage, MessageRole, ToolCallingAgent

import aegis

ACTIONS = ("refund", "escalate", "answer")


def handle(tickets, model, workspace="workspace"):
    def ask_model(state, actions):
        text = f"Answer with one word of {', '.join(actions)}. Ticket: {state['ticket']}"
        return model.generate([ChatMessage(MessageRole.USER, text)]).content.strip()

    agents = {name: ToolCallingAgent([], model, instructions=f"You {name}.", verbosity_level=0) for name in ACTIONS}
    with aegis.Decider("support-router", ACTIONS, ask_model, workspace=workspace) as decider:
        return [agents[decider.decide({"ticket": text}).action].run(text) for text in tickets]
