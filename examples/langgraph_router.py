"""LangGraph: the conditional edge of a graph is a decision point. `ask_model` decides until an HRM takes over."""

from typing import TypedDict

from langgraph.graph import END, START, StateGraph

import aegis

ACTIONS = ("refund", "escalate", "answer")


class Ticket(TypedDict, total=False):
    text: str
    reply: str


def handle(tickets, ask_model, workspace="workspace"):
    with aegis.Decider("support-router", ACTIONS, ask_model, workspace=workspace) as decider:
        graph = StateGraph(Ticket)
        for name in ACTIONS:
            graph.add_node(name, lambda ticket, name=name: {"reply": f"{name}: {ticket['text']}"})
            graph.add_edge(name, END)
        graph.add_conditional_edges(
            START, lambda ticket: decider.decide({"ticket": ticket["text"]}).action, list(ACTIONS)
        )
        app = graph.compile()
        return [app.invoke({"text": text})["reply"] for text in tickets]
