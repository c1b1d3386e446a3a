"""`aegis audit-data`: states that are both trained on and held out."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from aegis.cli.admission import find_place
from aegis.cli.display.output import errors_explained, fail, say, show_rejected, show_source
from aegis.cli.display.progress import waiting
from aegis.cli.options import DataOption, JsonOption, OwnWorkspaceOption, PointOption
from aegis.config import TrainingConfig
from aegis.packages import require
from aegis.research import run as research_run

_DEFAULTS = TrainingConfig()


def audit_data(
    data: DataOption = None,
    workspace: OwnWorkspaceOption = None,
    point: PointOption = None,
    split: Annotated[str, typer.Option(help="As in `aegis train`: auto, newest or seed.")] = _DEFAULTS.split,
    seed: Annotated[int, typer.Option(help="Of the split by seed.")] = _DEFAULTS.seed,
    near: Annotated[
        float, typer.Option(min=0.5, max=1.0, help="Share of word triples in common that makes states near duplicates.")
    ] = 0.85,
    as_json: JsonOption = False,
) -> None:
    """Look for states that are both trained on and held out, and say how much accuracy rests on them."""
    with errors_explained():
        require("sklearn", "the audit")
        if data is not None and workspace is not None and point is None:
            fail("--data and --workspace each name decisions: give one of them")
        training = TrainingConfig(split=split, seed=seed)
        from aegis import lifecycle

        with waiting(on_stderr=True) as progress:
            given = research_run.choose_data(data, find_place(workspace, point), progress)
        if not as_json:
            show_source(given)
        show_rejected(given.rejected, len(given.decisions))
        lifecycle.check_enough(given, 2, "an audit")
        with waiting(on_stderr=as_json) as progress:
            progress("Loading what an audit needs", 0, 0)
            audit = lifecycle.check_leakage(given, training, near, progress)
        if as_json:
            say(json.dumps(audit.to_record(), indent=2))
            return
        when = "the newest" if audit.split == "newest" else f"drawn by seed {seed}"
        part = f", {audit.examined} of them looked at" if audit.examined < audit.heldout else ""
        rows = [
            ("Decisions trained on", f"{audit.train}"),
            ("Decisions held out", f"{audit.heldout} (whole episodes, {when}){part}"),
            ("Episodes on both sides", f"{audit.shared_episodes}"),
            ("Same state as in training", f"{audit.exact} (left out of every judgement)"),
            (
                f"At least {near:.0%} alike one in training",
                f"{audit.near} ({audit.near_share:.1%} of those looked at)",
            ),
            ("  of these with the same action", f"{audit.near_same_action}"),
            ("No older than the held-out ones", f"{audit.too_new} (not trained on)"),
            ("Accuracy on all held out", f"{audit.accuracy:.2%} (regression on words and pairs of words)"),
            ("  on near duplicates alone", _share(audit.accuracy_on_near)),
            ("  without near duplicates", _share(audit.accuracy_without_near)),
        ]
        say(f"Audit of {audit.source}")
        for label, value in rows:
            say(f"  {label:<36} {value}")
        if audit.near and audit.accuracy_without_near is not None:
            points = 100 * (audit.accuracy - audit.accuracy_without_near)
            effect = "rest on near duplicates" if points > 0 else "are lost by near duplicates"
            say(f"  {abs(points):.2f} points of accuracy {effect}")
        for twin in audit.twins:
            action = "same action" if twin.same_action else "another action"
            say(f"    {twin.resemblance:.0%} alike, {action}: {twin.heldout} and {twin.train}")


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.2%}"
