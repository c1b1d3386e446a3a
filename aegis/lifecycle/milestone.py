"""Where a workspace stands in words: its phase, and what is missing until the next one. Every screen reads these."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aegis.promotion.certifying.promise import HELPS
from aegis.rendering import counted
from aegis.workspace import HRM, Workspace, version_kind

if TYPE_CHECKING:
    from aegis.lifecycle.standing import Standing


HRM_ALONE = 'it improves an HRM alone, which `student = "hrm"` trains'
"""Why phase 4 does not improve what serves now, and what would let it"""


def describe_phase(standing: Standing) -> str:
    """Return the phase in words, e.g. `Phase 1: Data Collection (Bootstrap from gpt2)`."""
    if standing.candidate:
        return f"Phase 3: Switch ({standing.candidate} proves itself in {standing.stage})"
    if standing.silent:
        return f"Phase 3: Switch (in the mode observe: {standing.silent} only answers silently)"
    if standing.idle:
        return f"Phase 3: Switch ({standing.idle})"
    bootstrap = f" (Bootstrap from {standing.teacher}{_last_training(standing)})" if standing.teacher else ""
    begun = "" if standing.improvement else " (not begun)"
    decides, serving = "the HRM", standing.serving or ""
    if standing.using_hrm and version_kind(serving) != HRM:
        decides, begun = serving, f" (not for {serving}, which goes on deciding: {HRM_ALONE})"
    return {
        1: f"Phase 1: Data Collection{bootstrap}",
        2: "Phase 2: HRM Training (Imitation Learning)",
        3: f"Phase 3: Switch (done: {decides} decides next)",
        4: f"Phase 4: RL Fine-tuning{begun}",
    }[standing.phase]


def _last_training(standing: Standing) -> str:
    """Return how a point's newest training ended where no HRM came of it, so that phase 1 does not look like new."""
    last = standing.training
    if last is None or standing.point is None or last.status not in ("refused", "failed"):
        return ""
    return f"; training {last.number} {'was refused' if last.status == 'refused' else 'failed'}"


def describe_milestone(standing: Standing) -> str:
    """Return what comes next, and how much is missing until then."""
    if standing.phase == 1:
        if not standing.remaining:
            itself = "its `aegis.Decider`" if standing.point else "`aegis start`"
            options = Workspace(Path(standing.workspace)).options if standing.point else ""
            return f"the training: {itself} begins it by itself, `aegis train{options}` at once"
        return f"{counted(standing.remaining, 'example')} until training"
    if standing.phase == 2:
        return "the gate, after the last epoch"
    if standing.candidate:
        return f"the end of its {standing.stage}"
    if standing.silent:
        return 'the mode "assist" or "switch", when you set it'
    if standing.idle:
        return f"a certificate: by {HELPS}"
    if standing.phase == 3:
        return "the HRM's first decision"
    progress = standing.improvement
    if progress is None and standing.using_hrm and version_kind(standing.serving or "") != HRM:
        return f"none: {HRM_ALONE}"
    if progress is None and standing.point:
        return "none without phase 4: `aegis.DeciderConfig(reinforce=...)` lets the HRM learn from reported rewards"
    if progress is None:
        return (
            "the beginning of phase 4: `aegis start` learns beside its decisions, `aegis improve` in simulated worlds"
        )
    if progress.pause:
        return f"{progress.pause} decisions until it learns on, after a roll-back"
    missing = progress.baseline_decisions - progress.rewards["reference_decisions"]
    if missing > 0:
        return f"{missing} rewards of {progress.reference} until the first update: they say what must be beaten"
    return "the next update"
