"""`aegis models`, `aegis promote` and `aegis rollback`: every version, which one serves, and who let it."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aegis.cli.admission import describe_way_to_hrm, find_place
from aegis.cli.display.output import DECLINED, WHOLE_CHARACTERS, errors_explained, fail, say, say_row
from aegis.cli.options import JsonOption, PointOption, ReasonOption, WorkspaceOption, YesOption
from aegis.rendering import clean_text
from aegis.workspace import DEFAULT_WORKSPACE, HRM, KIND_WORDS

if TYPE_CHECKING:
    from aegis.lifecycle import Refusal
    from aegis.promotion import ModelEvent, ModelRegistry, ModelVersion
    from aegis.store import DecisionStore

_REASON_CHARACTERS = 300
_NAME = len("linear@999")
TEACHER = "teacher"


def models(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: PointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every HRM that was kept: what it was trained on, its figures, who let it serve and why."""
    with errors_explained():
        from aegis import lifecycle
        from aegis.errors import CheckpointError
        from aegis.promotion import ModelRegistry

        folder = lifecycle.existing(find_place(workspace, point))
        with lifecycle.open_store(folder) as store:
            registry = ModelRegistry(store, folder)
            versions = [_with_certificate(store, _with_calibration(version)) for version in registry.models()]
            events, served = registry.events(), registry.serving()
            monitor = lifecycle.read_monitor(store, registry, served.name) if served else None
            base = registry.base_of(served.name) if served else None
            by_action = None
            with contextlib.suppress(CheckpointError):  # a damaged or lost file: `aegis doctor` tells
                by_action = lifecycle.read_action_monitor(store, folder.models / base) if base else None
            progress = lifecycle.read_stage(store, registry)
            drift = lifecycle.read_drift_count(store, base or served.name) if served else None
            refusals = lifecycle.read_refusals(store)
            if as_json:
                document = {
                    "serving": served.name if served else None,
                    "models": [version.to_record() for version in versions],
                    "events": [_event_record(event) for event in events],
                    "monitor": monitor.evidence() if monitor else None,
                    "by_action": by_action.to_record() if by_action else None,
                    "drift": drift._asdict() if drift else None,
                    "candidate": progress.to_record() if progress else None,
                    "refused": [refusal.to_record() for refusal in refusals],
                }
                say(json.dumps(document, indent=2))
                return
            if not versions:
                say(f"{folder.folder}: no HRM was kept yet: {describe_way_to_hrm(folder)}")
                _show_refusals(refusals)
                return
            head = f"{'Model':<{_NAME}} {'serves':<12} {'accuracy':<26} {'calibration':<12} {'decisions':>9}  made"
            say_row("Models", (), head)
            for version in versions:
                _say_version(version)
                if (kind := _describe_kind(version)) is not None:
                    say(f"{'':<{_NAME}} {kind}")
                if version.gain is not None:
                    say(f"{'':<{_NAME}} {version.gain.describe()}")
                if certified := version.figures.get("certified"):
                    say(f"{'':<{_NAME}} {_describe_certified(certified, version.figures.get('promised'))}")
            if monitor:
                say(f"Monitor of {served.name if served else ''}: {lifecycle.describe_monitor(monitor)}")
            if by_action:
                say(f"Monitor of what was improved from {base}: {by_action.describe()}")
            if drift and drift.decisions:
                say(f"Drift: {drift.describe()}")
            if progress:
                say(progress.describe())
            say("")
            for event in events:
                say(f"{event.at[:19]}  {_describe(event)}")
            _show_refusals(refusals)


def promote(
    model: Annotated[str, typer.Argument(help="Version to let serve, e.g. hrm@2 (see `aegis models`).")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: PointOption = None,
    reason: ReasonOption = "",
    yes: YesOption = False,
) -> None:
    """Let a kept HRM decide from now on."""
    with errors_explained():
        from aegis import lifecycle
        from aegis.promotion import ModelRegistry
        from aegis.promotion.weights import check_files

        folder = lifecycle.existing(find_place(workspace, point))
        with lifecycle.open_store(folder) as store:
            registry = ModelRegistry(store, folder)
            version = _find(registry, model)
            if version.serves:
                say(f"{version.name} serves already")
                return
            check_files(store, version.folder)
            if version.rolled_back:
                say(f"⚠ {version.name} was rolled back: {_last_reason(registry, version.name)}")
            if version.gain is not None and version.gain.is_loss:
                say(f"⚠ {version.name} was measured worse than {version.gain.over}: gain {version.gain.words}")
            reason = _settle(f"Let {version.name} decide from now on?", reason, yes)
            registry.promote_again(version.name, getpass.getuser(), reason)
            say(f"✓ {version.name} serves")


def rollback(
    to: Annotated[
        str | None,
        typer.Argument(help="Version to go back to, or `teacher`. Default: the last good one, else the teacher."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    point: PointOption = None,
    reason: ReasonOption = "",
    yes: YesOption = False,
) -> None:
    """Go back to an earlier HRM or to the teacher; the next promotion by the gate then waits for a while."""
    with errors_explained():
        from aegis import lifecycle
        from aegis.promotion import ModelRegistry

        folder = lifecycle.existing(find_place(workspace, point))
        with lifecycle.open_store(folder) as store:
            registry = ModelRegistry(store, folder)
            served = registry.serving()
            candidate = registry.candidate()
            if served is None and candidate is not None and to in (None, TEACHER):
                reason = _settle(f"Refuse {candidate.name}, which is in its {candidate.stage}?", reason, yes)
                registry.refuse(getpass.getuser(), reason, {})
                say(f"✓ {candidate.name} is refused, the teacher goes on deciding")
                return
            if served is None:
                fail(f"{folder.folder}: the teacher decides: there is nothing to roll back")
            target = registry.last_good() if to is None else None if to == TEACHER else _find(registry, to).name
            if target == served.name:
                fail(f"{target} serves now: name another version, or `teacher`")
            reason = _settle(f"Roll back from {served.name} to {target or 'the teacher'}?", reason, yes)
            registry.roll_back(target, getpass.getuser(), reason)
            say(f"✓ {target or 'the teacher'} serves")


def _with_calibration(version: ModelVersion) -> ModelVersion:
    """Return a version with the calibration error by its temperature, even if an earlier AEGIS made it."""
    from aegis.errors import CheckpointError
    from aegis.promotion import read_answers

    figures = dict(version.figures)
    if figures.get("calibration_error") is None or "calibration_error_raw" in figures:
        return version
    figures["calibration_error_raw"] = figures.pop("calibration_error")
    with contextlib.suppress(CheckpointError):
        figures["calibration_error"] = read_answers(version.folder).errors()[1]
    return dataclasses.replace(version, figures=figures)


def _with_certificate(store: DecisionStore, version: ModelVersion) -> ModelVersion:
    """Return a version with what it is certified for by now: at its promise, the owner's now, or 95%."""
    from aegis.errors import CheckpointError
    from aegis.lifecycle.opening import read_agent
    from aegis.lifecycle.serving.certificate import certify_version
    from aegis.promotion import PROMISED, read_answers

    figures = dict(version.figures)
    with contextlib.suppress(CheckpointError):  # an improved version has no answers of its own
        answers = read_answers(version.folder)
        promised = figures.get("promised") or read_agent(store).get("promised") or PROMISED
        found = certify_version(store, version.name, answers, promised)
        figures["certified"] = dataclasses.asdict(found)
    return dataclasses.replace(version, figures=figures)


def _describe_kind(version: ModelVersion) -> str | None:
    """Return what a version is and how it was chosen; None for an HRM that was not chosen."""
    choice = version.figures.get("student")
    if choice is None:
        return None if version.kind == HRM else KIND_WORDS[version.kind]
    measured = f"HRM {choice['hrm']:.1%}, linear {choice['linear']:.1%}"
    if "mixed" in choice:  # an earlier training had no such student
        measured += f", both together {choice['mixed']:.1%}"
    return f"{KIND_WORDS[version.kind]}, chosen by {choice['development']:,} decisions set aside: {measured}"


def _describe_certified(certified: Mapping[str, Any], promised: float | None) -> str:
    alone = "" if promised is None else ", and decides no others"
    return (
        f"certified for {certified['share']:.1%} of the decisions at an agreement of {certified['agreement']:g}{alone}"
    )


def _show_refusals(refusals: Sequence[Refusal]) -> None:
    """Print the candidates that the gate refused; only their verdicts are kept."""
    if not refusals:
        return
    say("")
    say("Refused by the gate (not kept):")
    for refusal in refusals:
        accuracy = "" if refusal.accuracy is None else f", accuracy {refusal.accuracy:.2%}"
        say(f"{refusal.at[:19]}  training {refusal.training} on {refusal.decisions:,} decisions{accuracy}")
        for rule in refusal.rules:
            say(f"    {clean_text(rule, WHOLE_CHARACTERS)}")


def _find(registry: ModelRegistry, name: str) -> ModelVersion:
    known = {version.name: version for version in registry.models()}
    if name not in known:
        fail(f"no model {clean_text(name, 60)!r} here: there are {', '.join(known) or 'none'} (see `aegis models`)")
    return known[name]


def _settle(question: str, reason: str, yes: bool) -> str:
    """Return the reason; ask for it in a terminal, and fail in a script that gives none."""
    asks = sys.stdin.isatty()
    if not reason.strip():
        if not asks:
            fail("say why: --reason WHY (it is kept in the record)")
        reason = typer.prompt("Why").strip()
    if not yes and asks and not typer.confirm(question):
        raise typer.Exit(DECLINED)
    return clean_text(reason, _REASON_CHARACTERS)


def _say_version(version: ModelVersion) -> None:
    figures = version.figures
    low, high = figures.get("interval") or (None, None)
    accuracy = f"{figures['accuracy']:.2%} ({low:.1%} to {high:.1%})" if low is not None else "not recorded"
    if version.base is not None:
        accuracy = f"improved from {version.base}"
    error = figures.get("calibration_error")
    state = "yes" if version.serves else version.stage or ("rolled back" if version.rolled_back else "-")
    calibration, decisions = "-" if error is None else f"{error:.2%}", figures.get("decisions", "-")
    source = f"from {clean_text(str(figures.get('source', 'unknown')), 60)}" + (
        f", of which {labelled} labelled by the teacher or a person" if (labelled := figures.get("labelled")) else ""
    )
    made = version.made_at[:19] or "-"
    say_row(
        f"{version.name}, serves: {state}",
        (f"accuracy: {accuracy}, calibration: {calibration}", f"decisions: {decisions}, {source}", f"made: {made}"),
        f"{version.name:<{_NAME}} {state:<12} {accuracy:<26} {calibration:<12} {decisions!s:>9}  {made}  {source}",
    )


def _describe(event: ModelEvent) -> str:
    from aegis.dashboard.learning import describe_event

    return f"{describe_event(event)} by {clean_text(event.who, 40)}: {clean_text(event.reason, WHOLE_CHARACTERS)}"


def _last_reason(registry: ModelRegistry, name: str) -> str:
    reasons = [e.reason for e in registry.events() if e.kind == "rolled_back" and e.previous == name]
    return clean_text(reasons[-1] if reasons else "", WHOLE_CHARACTERS)


def _event_record(event: ModelEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__slots__} | {"evidence": dict(event.evidence)}
