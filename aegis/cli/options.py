"""The options that several commands share, each declared once: its name, its type and its help."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from aegis.config import KEPT
from aegis.errors import ConfigError
from aegis.workspace import DEFAULT_WORKSPACE

# What is worked on and where.
WorkspaceOption = Annotated[Path, typer.Option("--workspace", help="Folder of the agent.")]
OwnWorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", help=f"Folder of the agent, with its HRMs. Default: ./{DEFAULT_WORKSPACE}"),
]
PointOption = Annotated[
    str | None,
    typer.Option(
        "--point", metavar="NAME", help="Decision point of the workspace. Default: the workspace's own research agent."
    ),
]
EveryPointOption = Annotated[
    str | None,
    typer.Option(
        "--point", metavar="NAME", help="One decision point alone. Default: the workspace and all its points."
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="JSON or JSONL file of decisions. Default: the workspace's own where it has 100 or more, else those AEGIS"
        " ships; with --point the point's own.",
    ),
]
DecisionsOption = Annotated[int, typer.Option("--decisions", min=1, help="How many decisions to make.")]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Seed of the goals that are drawn. Default: a new one, recorded.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda, or auto: cuda if there is a device.")]
BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        help="What computes the HRM: auto (on the CPU the fastest one with the eager model's answers), eager, onnx,"
        " onnx-int8 or openvino.",
    ),
]
TeacherOption = Annotated[
    str,
    typer.Option(
        "--teacher",
        help="gpt2, gemma3-270m, a hub id, a model's folder, a .gguf file, openai:MODEL (see --base-url), scripted"
        " (a rule, no model), or auto: the workspace's own. A new workspace gets gpt2 if it is available, else the"
        " installed offline model.",
    ),
]

RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Work on Ray: local starts it on this machine, auto takes the cluster that runs here, HOST:PORT another"
        " one.",
    ),
]

# The agent.
AnswerOption = Annotated[
    float, typer.Option("--answer-timeout", help="Seconds until a question in the inbox counts as unanswered.")
]
ApprovalOption = Annotated[
    float, typer.Option("--approval-timeout", help="Seconds until an undecided proposal leaves the queue.")
]
RewardsOption = Annotated[
    Path | None,
    typer.Option("--rewards", help="JSON file with rewards other than the default ones (fields: docs/rewards.md)."),
]
PresenceOption = Annotated[
    bool,
    typer.Option(
        "--vary-presence",
        help="Tell the policy in half of the decisions that a person is here, so that the data shows both cases."
        " AEGIS makes up no answers.",
    ),
]
SearchOption = Annotated[
    str,
    typer.Option(
        "--search",
        envvar="AEGIS_SEARCH",
        help="Where to search: offline, arxiv, wikipedia (or wikipedia:de), ddgs, searxng:URL; with commas between. The"
        " next one is asked where one fails or finds nothing.",
    ),
]
ActionTimeoutOption = Annotated[
    float, typer.Option("--action-timeout", help="Seconds until an action that hangs counts as failed.")
]
IntervalOption = Annotated[float, typer.Option("--interval", help="Seconds between two decisions; 0: none.")]
CollectOption = Annotated[int, typer.Option("--collect", help="The teacher's decisions before the first training.")]
ApproveOption = Annotated[
    Literal["never", "ask", "bounded"],
    typer.Option(
        "--approve",
        help="What happens to the agent's proposals: never: refused; ask: you decide; bounded: approved at once within"
        " their bounds, except changes of the gate and of rewards.",
    ),
]
LivedOption = Annotated[
    int,
    typer.Option(
        "--lived",
        min=0,
        help="Decisions that a rule makes first in each simulated world; 0: nothing is known there.",
    ),
]

# The training, the gate and the way to the switch.
EpochsOption = Annotated[int, typer.Option("--epochs", help="Passes over the training decisions.")]
LearningRateOption = Annotated[float, typer.Option("--lr", help="AdamW's peak learning rate.")]
BatchOption = Annotated[int, typer.Option("--batch-size", help="Decisions in one optimizer step.")]
StateTokensOption = Annotated[
    int,
    typer.Option(
        "--max-tokens", help="Tokens of a state that the HRM reads, up to 6,142. A longer state is cut and counted."
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATH",
        help="A field of the state that the HRM skips, e.g. customer.email or messages.*.name. May be repeated.",
    ),
]
RenameOption = Annotated[
    list[str] | None,
    typer.Option(
        "--rename", metavar="PATH=NAME", help="Give a field of the state another name for the HRM. May be repeated."
    ),
]
StudentOption = Annotated[
    str,
    typer.Option(
        "--student",
        help="What goes to the gate: hrm; mixed, the HRM and a logistic regression on fields and words together; or"
        " auto, the best of the HRM, the regression and both, by a fifth of the training decisions, from which the HRM"
        " then does not learn.",
    ),
]
ThresholdOption = Annotated[
    float, typer.Option("--threshold", help="Held-out accuracy that the HRM needs to take over.")
]
AgreementOption = Annotated[
    float | None,
    typer.Option(
        "--agreement",
        help="Promised agreement, e.g. 0.95: the HRM takes only the decisions for which it is certified, whatever its"
        " accuracy, and the teacher the rest.",
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", help="JSON file with fields of HRMConfig, for an HRM of another shape."),
]
ShadowOption = Annotated[
    int,
    typer.Option("--shadow", help="Decisions that an HRM makes silently beside the teacher after the gate; 0: none."),
]
CanaryOption = Annotated[
    float,
    typer.Option("--canary", help="Share of the decisions that an HRM makes before all, e.g. 0.1; 0: none."),
]
CanaryDecisionsOption = Annotated[
    int,
    typer.Option(
        "--canary-decisions", help="The HRM's own decisions that end the canary; each is compared with the teacher's."
    ),
]
EveryOption = Annotated[
    int, typer.Option("--rl-every", help="Rewards in one update by policy gradient; 0: the HRM does not learn on.")
]

KeepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="ACTION",
        help="An action that phase 4 may not unlearn: where the HRM before phase 4 takes it, it stays taken. Also"
        f" 'ACTION where FIELD=VALUE'. May be repeated; '': none. Default: {KEPT!r}.",
    ),
]


def read_keep(given: Sequence[str] | None) -> tuple[str, ...]:
    """Return what `--keep` says."""
    return (KEPT,) if given is None else tuple(one for one in given if one)


# The monitor.
AuditRateOption = Annotated[
    float,
    typer.Option("--audit-rate", help="Share of the HRM's decisions that the teacher is asked about, too; 0: none."),
]
DriftOption = Annotated[
    float,
    typer.Option(
        "--drift-quantile",
        help="A state goes to the teacher when it is farther from the training's states than this share of the held-out"
        " ones; 0: none does.",
    ),
]
ExploreOption = Annotated[
    float,
    typer.Option(
        "--explore",
        help="Share of the HRM's decisions that take an action at random, at most 0.5, so that `aegis ope` can tell"
        " what other actions would have brought; 0: none.",
    ),
]
NeverOption = Annotated[
    list[str] | None,
    typer.Option(
        "--never-explored",
        metavar="ACTION",
        help="An action that is never tried at random, by phase 4 neither. May be repeated.",
    ),
]

# The teacher's endpoint.
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        help="Address of the endpoint of --teacher openai:MODEL, e.g. http://localhost:8000/v1. Default:"
        " AEGIS_BASE_URL, OPENAI_BASE_URL, the workspace's own, or OpenAI's. The key comes from OPENAI_API_KEY.",
    ),
]
RateOption = Annotated[
    float | None,
    typer.Option(
        "--requests-per-minute", envvar="AEGIS_REQUESTS_PER_MINUTE", help="Most requests to the endpoint in a minute."
    ),
]
TokensOption = Annotated[
    int | None,
    typer.Option("--max-tokens", envvar="AEGIS_MAX_TOKENS", help="Most tokens that this workspace may use."),
]
CostOption = Annotated[
    float | None,
    typer.Option("--max-cost", envvar="AEGIS_MAX_COST", help="Most that the endpoint may cost; needs --prices."),
]
PricesOption = Annotated[
    str,
    typer.Option("--prices", envvar="AEGIS_PRICES", help="IN,OUT: the price of a million tokens, read and written."),
]

# Files of decisions.
FormatOption = Annotated[
    str,
    typer.Option("--format", help="auto (recognised), openai, anthropic, spans, csv, plain or aegis."),
]
LabelOption = Annotated[
    str,
    typer.Option(
        "--label",
        help="Field or column with the action; answer_in_text where a chat's answer is the action's name. Default:"
        " looked for, and said.",
    ),
]
EpisodeOption = Annotated[
    str,
    typer.Option("--episode", help="Field or column with the conversation, task or user. Default: looked for."),
]
TeacherFieldOption = Annotated[
    str,
    typer.Option(
        "--teacher-field",
        help="Field or column with who decided. Default: the model that a log names, teacher, policy or model beside"
        " an input; none in a table.",
    ),
]
KeepInStateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="NAME",
        help="A column that is part of the state, though its name says time, id or the like. May be repeated.",
    ),
]
ByOption = Annotated[
    Literal["auto", "menu", "system", "all"],
    typer.Option(
        "--by",
        help="What tells kinds of decisions apart: auto (their names, else the tools on offer), menu, system (the"
        " system prompt) or all (one kind).",
    ),
]

# Persons and records.
NumberArgument = Annotated[int, typer.Argument(help="The number in `aegis inbox`.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept in the record. Scripts must give it.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]

# What is written.
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")]


def parse_names(pairs: Sequence[str] | None) -> dict[str, str]:
    """Return the fields that `--rename` renames, with their new names; raises `ConfigError` for a malformed pair."""
    names = {}
    for pair in pairs or ():
        path, equals, name = pair.partition("=")
        if not equals:
            raise ConfigError(f"--rename {pair!r}: write PATH=NAME, e.g. customer.tier=plan")
        names[path] = name
    return names
