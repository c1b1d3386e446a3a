"""Options that connect an agent with the world, and what they make: its search, its teacher behind an endpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis.cli.display.progress import waiting
from aegis.config import EndpointConfig
from aegis.types import unheard
from aegis.workspace import Workspace

if TYPE_CHECKING:
    from aegis.research.search import Corpus, SearchChain
    from aegis.store import DecisionStore, TeacherClaim
    from aegis.types import Policy, Progress, Teacher


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """The options on a teacher behind an endpoint, as they were given."""

    base_url: str | None = None
    requests_per_minute: float | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    prices: str = ""

    def to_config(self) -> EndpointConfig:
        """Return the limits that they set; raises `ConfigError` for one that is none."""
        from aegis.teachers import parse_prices

        limits: dict[str, Any] = {
            "requests_per_minute": self.requests_per_minute,
            "max_tokens": self.max_tokens,
            "max_cost": self.max_cost,
        }
        return EndpointConfig(**limits | parse_prices(self.prices))


def teacher_name(claim: TeacherClaim | None, name: str, options: EndpointOptions) -> str:
    """Return a teacher's name with the address of `--base-url`; `auto` there is the workspace's own teacher."""
    from aegis.teachers import at_address, loadable_name

    if not options.base_url:
        return name
    own = loadable_name(claim.name, claim.source) if claim is not None else name
    return at_address(own if name == "auto" else name, options.base_url)


def make_search(
    names: str,
    workspace: Workspace,
    say: Callable[[str], None],
    progress: Progress = unheard,
    corpus: Corpus | None = None,
) -> SearchChain:
    """Make the search that `--search` names, with its cache in the workspace; say hears of its troubles.

    The first search makes the offline index where there is none; progress hears how far that is. corpus: what `offline`
    searches; None: all documentation that is installed.
    """
    from aegis.research.search import create_search

    return create_search(names, cache=workspace.search_cache, corpus=corpus, progress=progress, on_trouble=say)


@contextlib.contextmanager
def ready_search(
    names: str,
    workspace: Workspace,
    say: Callable[[str], None],
    corpus: Corpus | None = None,
    on_stderr: bool = False,
) -> Iterator[SearchChain]:
    """Make the search, and the offline index now where there is none, under a progress bar; close it at the end."""
    shown: list[Progress] = [unheard]
    search = make_search(names, workspace, say, lambda what, done, total: shown[0](what, done, total), corpus)
    with contextlib.closing(search):
        unshown = shown[0]
        with waiting(on_stderr) as shown[0]:
            search.topics()
        shown[0] = unshown
        yield search


def load_teacher(
    store: DecisionStore,
    name: str,
    device: str,
    options: EndpointOptions,
    say: Callable[[str], None],
    progress: Progress = unheard,
) -> Teacher:
    """Load the teacher as `lifecycle.load_teacher_for` does, with the endpoint options where it is behind an endpoint.

    What it uses is counted in the workspace, so that a budget outlives a restart. progress hears what takes its time.
    """
    progress("Loading what a teacher needs", 0, 0)
    from aegis import lifecycle
    from aegis.store import UsageLedger
    from aegis.teachers import OpenAITeacher

    config = options.to_config()
    teacher = lifecycle.load_teacher_for(store, teacher_name(store.teacher(), name, options), device, say, progress)
    progress("", 0, 0)
    if isinstance(teacher, OpenAITeacher):
        teacher.close()
        teacher = teacher.with_limits(config)
        teacher.budget.keep_in(UsageLedger(store.database.path))
        say(f"Endpoint: {teacher.address}")
    return teacher


@contextlib.contextmanager
def closing_policy(policy: Policy) -> Iterator[None]:
    """Close a policy's connection at the end of the block, where it has one."""
    try:
        yield
    finally:
        close = getattr(policy, "close", None)
        if close is not None:
            close()


def read_reward_changes(path: Path | None) -> dict[str, float]:
    """Return what a `--rewards` file sets; nothing without one."""
    if path is None:
        return {}
    from aegis.research.rewards import read_rewards

    return read_rewards(path)
