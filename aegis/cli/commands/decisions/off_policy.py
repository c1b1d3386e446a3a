"""`aegis ope`: what an HRM would have earned in the decisions that another version drew."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli.admission import find_place
from aegis.cli.display.output import errors_explained, fail, say
from aegis.cli.display.progress import waiting
from aegis.cli.options import JsonOption, PointOption, WorkspaceOption
from aegis.errors import DataError, NotEnoughDataError
from aegis.packages import require
from aegis.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from pathlib import Path

    from aegis.experiments.drawn import Drawn
    from aegis.experiments.off_policy import Estimate, OffPolicyReport
    from aegis.hrm import HRMPolicy


def ope(
    policy: Annotated[str, typer.Option(help="Version to judge, e.g. hrm@3 (see `aegis models`).")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: PointOption = None,
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="Only decisions made from then on, e.g. 2026-01-31T12:00:00Z."),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Estimate what an HRM would have earned, from decisions whose actions were drawn, without letting it decide."""
    with errors_explained():
        require("sklearn", "the estimate")
        begin = _parse(since)
        from aegis import lifecycle

        folder = lifecycle.existing(find_place(workspace, point))
        from aegis.experiments.drawn import read_drawn
        from aegis.experiments.learned import read_learned
        from aegis.experiments.off_policy import evaluate_off_policy
        from aegis.hrm import load_version
        from aegis.lifecycle.point import read_adoption
        from aegis.lifecycle.policies.keeping import load_whole
        from aegis.promotion import ModelRegistry

        with lifecycle.open_store(folder) as store, waiting(on_stderr=as_json) as progress:
            progress("Reading the drawn decisions", 0, 0)
            known = {version.name: version.folder for version in ModelRegistry(store, folder).models()}
            if policy not in known:
                fail(f"no model {policy!r} here: there are {', '.join(known) or 'none'} (see `aegis models`)")
            learned = read_learned(store, folder, policy)
            drawn = read_drawn(store.numbered_examples(), policy, learned, begin)
            drawn.check()
            progress(f"Asking {policy} about {len(drawn.rewarded):,} states", 0, 0)
            adopt = read_adoption(store)

            def load(version: Path) -> HRMPolicy:
                loaded = load_version(version)
                return loaded.with_actions(adopt(loaded.actions))

            try:
                loaded = load(known[policy])
                report = evaluate_off_policy(drawn.rewarded, load_whole(known[policy], load), loaded.actions)
            except NotEnoughDataError as error:
                raise NotEnoughDataError("; ".join(filter(None, (str(error), drawn.describe_left_out())))) from error
        if as_json:
            say(json.dumps(asdict(report) | drawn.to_record(), indent=2))
        else:
            _show(report, drawn)


def _parse(since: str) -> datetime | None:
    from aegis.store.record import parse_timestamp

    try:
        return parse_timestamp(since) if since else None
    except DataError as error:
        fail(f"--since: {error}")


def _show(report: OffPolicyReport, drawn: Drawn) -> None:
    say(f"{report.policy} on {report.decisions:,} drawn decisions with a reward, in {report.episodes:,} episodes")
    if left_out := drawn.describe_left_out():
        say(f"  {left_out}")
    for warning in drawn.warnings():
        say(f"  ⚠ {warning}")
    for words, found in (
        ("earned by who drew them", report.logged),
        ("inverse propensity", report.ips),
        ("self-normalised", report.snips),
        ("doubly robust", report.dr),
    ):
        say(f"  {words:<24} {_tell(found)}")
    say(f"  difference to what was earned: {_tell(report.gain, '+.3f')}, doubly robust")
    say(
        f"  worth {report.effective:,.0f} decisions of its own; largest weight {report.largest:.1%} of all; mean weight"
        f" {_tell(report.mean_weight)}, 1 where the propensities hold and no reward is missing because of what it was;"
        f" its action was hardly ever drawn in {report.unsupported:.1%}"
    )
    say("  Each decision for itself: what it would change in later states is not in these figures.")


def _tell(found: Estimate, form: str = ".3f") -> str:
    low, high = found.interval
    return f"{found.value:{form}} ({low:{form}} to {high:{form}})"
