"""An exported HRM as a policy: states in, choices out, by ONNX Runtime or OpenVINO. It never imports torch.

`aegis export FOLDER --onnx` writes its folder.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from aegis.bounds import read_json
from aegis.errors import CheckpointError, ConfigError
from aegis.hrm.codec import StateCodec, find_columns
from aegis.hrm.onnx.gathering import Gathering
from aegis.types import ActionList, ActionSpec, Choice, State, list_names

POLICY_FILE = "policy.json"
CHECK_FILE = "check.json"
FORM = 3
"""Form of the graphs; an export of another form is made again"""
Precision = Literal["float32", "int8"]
GRAPH_FILES: dict[Precision, tuple[str, str]] = {
    "float32": ("first.onnx", "later.onnx"),
    "int8": ("first.int8.onnx", "later.int8.onnx"),
}
"""Files of the first segment's graph and of the later segments' graph"""
LARGEST_DIFFERENCE = 1e-3
"""Largest difference allowed between a probability of an exported graph and of the eager model"""
LARGEST_COMPANY_DIFFERENCE = 1e-4
"""Largest difference allowed between a probability of a state asked alone and of the same state in a batch"""
_INT8_DIFFERENCE = 0.01
"""Largest difference allowed between two processors. Their sums are equal, but a last bit in between can round an input
differently: 1 of 24 states differed by 0.001 between SSE and AVX2."""
_BATCH_STATES = 32
_MASKED = -1e9

Array = NDArray[Any]
Feed = Mapping[str, Array]


class UnknownWordsError(ConfigError):
    """The graphs lack an action's words: the model must be exported with it."""


class _Graph(Protocol):
    def __call__(self, names: Sequence[str], feed: Feed) -> list[Array]: ...


class OnnxPolicy:
    """Decides by exported graphs, among the actions that the HRM was trained on."""

    def __init__(
        self, document: Mapping[str, Any], graphs: tuple[Path | bytes, Path | bytes], backend: str, threads: int = 1
    ) -> None:
        """document: the content of `policy.json`. graphs: of the first and the later segments, as files or bytes."""
        try:
            self.graph_actions = ActionList(tuple(ActionSpec(**spec) for spec in document["actions"]))
            self.codec = StateCodec.from_document(document)
            self._name, self._parameters = str(document["name"]), int(document["parameters"])
            self._reader = PatchReader(**document["input"])
            self._max_segments = int(document["max_segments"])
            self._halt_logit = math.log(document["halt_threshold"] / (1 - document["halt_threshold"]))
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, ConfigError) as error:
            raise CheckpointError(f"{POLICY_FILE} is out of form ({error}): export it again") from error
        self.actions = self.graph_actions
        """Those to decide among"""
        self._columns = list(range(len(self.actions)))
        self.backend = backend
        first, self._later_graph = graphs
        self._open = _open_openvino if backend == "openvino" else open_onnxruntime
        self._threads = threads
        self._first = self._open(first, threads)
        self._later: _Graph | None = None
        # One state takes about as long as five together. So what several threads ask at once is computed together.
        self._gathering = Gathering(self._think_each, _BATCH_STATES)

    @classmethod
    def load(
        cls,
        folder: Path | str,
        precision: Precision = "float32",
        runtime: Literal["onnxruntime", "openvino"] = "onnxruntime",
        threads: int = 1,
        check: dict[str, Any] | None = None,
    ) -> OnnxPolicy:
        """Read an exported policy, and check that it decides on this machine as on the machine that exported it.

        check: what `read_check` has just returned for its files, which are then not read once more. Raises
        `CheckpointError` if a file is missing or torn or decisions differ, `ConfigError` without the runtime.
        """
        folder = Path(folder)
        if threads < 1:
            raise ConfigError(f"threads must be at least 1, not {threads}")
        if check is None:
            check = read_check(folder, (POLICY_FILE, *GRAPH_FILES[precision]))
        backend = "openvino" if runtime == "openvino" else "onnx" if precision == "float32" else "onnx-int8"
        first, later = GRAPH_FILES[precision]
        policy = cls(_read(folder / POLICY_FILE), (folder / first, folder / later), backend, threads)
        try:
            wanted = check["backends"]["onnx" if precision == "float32" else "onnx-int8"]["probabilities"]
            states = check["states"]
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{folder / CHECK_FILE}: out of form ({error}): export it again") from error
        found = policy.think(states)[0]
        alone = np.array([policy.think([state])[0][0] for state in states])
        limit = LARGEST_DIFFERENCE if precision == "float32" else _INT8_DIFFERENCE
        # By default OpenVINO computes in bfloat16 if the processor has it.
        if found.shape != np.shape(wanted) or float(np.abs(found - np.array(wanted)).max(initial=0)) > limit:
            raise CheckpointError(
                f"{folder}: {policy.backend} decides differently on this machine than where it was exported: export it"
                " here, or use another backend"
            )
        if float(np.abs(found - alone).max(initial=0)) > LARGEST_COMPANY_DIFFERENCE:
            raise CheckpointError(
                f"{folder}: {policy.backend} answers a state differently alone and in a batch: use another backend"
            )
        return policy

    @property
    def name(self) -> str:
        return self._name

    @property
    def parameters(self) -> int:
        return self._parameters

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return one choice per state, among some or all of its actions, in any order.

        Raises `ConfigError` for an action that it does not know.
        """
        probabilities, _ = self.answer(states, actions)
        return [Choice.best(row, actions, self.name, "hrm") for row in probabilities.tolist()]

    def think(self, states: Sequence[State], to_the_end: bool = False) -> tuple[Array, Array]:
        """Return the probabilities (B, A) of the graphs' actions and the segments that each state took (B,).

        to_the_end: think all segments for every state, and ignore the halting unit.
        """
        logits, segments, _ = self._think(states, to_the_end)
        return _softmax(logits), segments

    def represent(self, states: Sequence[State]) -> Array:
        """Return the high level's state at position 0 after the first segment, (B, high width)."""
        return self._think(states, False)[2]

    def answer(self, states: Sequence[State], actions: ActionList) -> tuple[Array, Array]:
        """Return the probabilities (B, A) and, from the same pass, the result of `represent` (B, high width).

        actions, and what is raised: as in `decide`.
        """
        columns = [self._columns[place] for place in find_columns(self.actions, actions, self.name)]
        logits, _, represented = self._think(states, False)
        return _softmax(logits[:, columns]), represented

    def with_actions(self, actions: ActionList) -> OnnxPolicy:
        """Return the same graphs deciding among other actions; the graphs know an action by its words.

        Raises `UnknownWordsError` for words that are not in the graphs: export the model with these actions.
        """
        if actions == self.actions:
            return self
        known = {spec.words: column for column, spec in enumerate(self.graph_actions)}
        if missing := [spec.name for spec in actions if spec.words not in known]:
            raise UnknownWordsError(
                f"{self.name} was exported without the actions {list_names(missing)}: export it again"
            )
        other = copy.copy(self)
        other.actions, other._columns = actions, [known[spec.words] for spec in actions]
        return other

    def _think(self, states: Sequence[State], to_the_end: bool) -> tuple[Array, Array, Array]:
        """Return the logits of the graphs' actions (B, A), the segments (B,) and the result of `represent`."""
        encoded = [self.codec.encode(state) for state in states]
        if len(encoded) == 1 and not to_the_end:
            return self._gathering.ask(encoded[0])
        return self._think_all(encoded, to_the_end)

    def _think_each(self, encoded: Sequence[list[int]]) -> list[tuple[Array, Array, Array]]:
        """Return the results of `_think` for each state of several."""
        logits, segments, represented = self._think_all(encoded, False)
        return [(logits[[row]], segments[[row]], represented[[row]]) for row in range(len(encoded))]

    def _think_all(self, encoded: Sequence[list[int]], to_the_end: bool) -> tuple[Array, Array, Array]:
        """Return the results of `_think` for the tokens of states."""
        positions = [self._reader.count_positions(len(sequence)) for sequence in encoded]
        order = sorted(range(len(encoded)), key=lambda index: positions[index])
        logits = np.empty((len(encoded), len(self.graph_actions)), dtype=np.float32)
        segments = np.empty(len(encoded), dtype=np.int64)
        represented: list[Array] = [np.empty(0, dtype=np.float32)] * len(encoded)
        # Only states of one length share a batch. Padding changes the order of sums and so the last bit of a number,
        # which int8 may then round differently: an answer would depend on the other states of its batch.
        for _, same in groupby(order, key=lambda index: positions[index]):
            alike = list(same)
            for start in range(0, len(alike), _BATCH_STATES):
                rows = alike[start : start + _BATCH_STATES]
                found = self._think_batch([encoded[row] for row in rows], to_the_end)
                logits[rows], segments[rows] = found[:2]
                for row, summary in zip(rows, found[2], strict=True):
                    represented[row] = summary
        return logits, segments, np.array(represented)

    def _think_batch(self, sequences: list[list[int]], to_the_end: bool) -> tuple[Array, Array, Array]:
        ids, bias = self._reader.read(sequences)
        names = ("answers", "summary", "base", "thought", "low")
        answers, summary, base, thought, low = self._first(names, {"ids": ids, "bias": bias})
        segments = np.ones(len(sequences), dtype=np.int64)
        active = np.arange(len(sequences))
        halting = answers[:, -1]
        for segment in range(2, self._max_segments + 1):
            going_on = (halting <= self._halt_logit) | to_the_end
            if not going_on.any():
                break
            self._later = self._later or self._open(self._later_graph, self._threads)
            active, base, bias = active[going_on], base[going_on], bias[going_on]
            feed = {"base": base, "given_thought": thought[going_on], "given_low": low[going_on], "bias": bias}
            later, thought, low = self._later(("answers", "thought", "low"), feed)
            answers[active], segments[active] = later, segment
            halting = later[:, -1]
        return answers[:, :-1], segments, summary


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(-1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(-1, keepdims=True)


class PatchReader:
    """Turns token ids into the input of the first graph: the rows of its table, by position."""

    def __init__(
        self,
        vocab_size: int,
        ngram_length: int,
        ngram_multiplier: int,
        patch_length: int,
        codes: int = 0,
        code_slots: int = 0,
    ) -> None:
        """codes: ids from `vocab_size` on that stand for a field. code_slots: those of them in each sequence."""
        if min(vocab_size, ngram_length, ngram_multiplier, patch_length) < 1:
            raise ValueError("vocab_size, ngram_length, ngram_multiplier and patch_length must be at least 1")
        self._vocab_size = vocab_size
        self._empty = vocab_size + codes  # the table's last row, all zeros
        self._code_slots = code_slots
        self._ngram_length = ngram_length
        self._multiplier = ngram_multiplier
        self._patch = patch_length

    def count_positions(self, tokens: int) -> int:
        return 1 + math.ceil((tokens - 1) / self._patch)

    def read(self, sequences: Sequence[Sequence[int]]) -> tuple[Array, Array]:
        """Return ids (B, P, patch x n-grams) int64, and the bias of the attention's scores (B, 1, 1, P) float32.

        As in `HRM._embed`: the first token is alone, the others are in patches, each with the n-grams that end at it.
        """
        patch, batch = self._patch, len(sequences)
        positions = self.count_positions(max(map(len, sequences)))
        ids = np.full((batch, positions * patch, self._ngram_length), self._empty, dtype=np.int64)
        bias = np.zeros((batch, 1, 1, positions), dtype=np.float32)
        for row, sequence in enumerate(sequences):
            place = ids[row, patch - 1 : patch - 1 + len(sequence)]
            place[:, 0] = sequence
            # n-grams pass over the codes
            text = np.r_[0, 1 + self._code_slots : len(sequence)] if self._code_slots else slice(None)
            tokens = hashed = place[text, 0]
            for n in range(1, self._ngram_length):
                hashed = hashed * self._multiplier
                hashed[n:] += tokens[:-n]
                hashed %= self._vocab_size
                place[text, n] = hashed
            bias[row, 0, 0, self.count_positions(len(sequence)) :] = _MASKED
        return ids.reshape(batch, positions, patch * self._ngram_length), bias


def read_check(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return the record of the check at export; raises `CheckpointError` if one of the named files has changed."""
    check = _read(folder / CHECK_FILE)
    if check.get("form") != FORM:
        raise CheckpointError(f"{folder}: exported by another version of AEGIS: export it again")
    for name in names:
        try:
            digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise CheckpointError(f"{folder / name}: missing ({error}): export it again") from error
        if digest != check.get("sha256", {}).get(name):
            raise CheckpointError(f"{folder / name}: torn, or not the file that was exported: export it again")
    return check


def _read(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: missing or not JSON ({error}): export it again") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: not a JSON object: export it again")
    return document


def open_onnxruntime(graph: Path | bytes, threads: int) -> _Graph:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError("deciding by ONNX needs ONNX Runtime: pip install onnxruntime") from error

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that spins while it waits takes its core from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        source = graph if isinstance(graph, bytes) else str(graph)
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise CheckpointError(
            f"{_where(graph)}: not a graph that ONNX Runtime reads ({error}): export it again"
        ) from error
    return lambda names, feed: list(session.run(list(names), dict(feed)))


def _where(graph: Path | bytes) -> str:
    return "in memory" if isinstance(graph, bytes) else str(graph)


def _open_openvino(graph: Path | bytes, threads: int) -> _Graph:
    try:
        import openvino
    except ImportError as error:
        raise ConfigError("--backend openvino needs OpenVINO: pip install 'aegis-hrm[openvino]'") from error

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    try:
        source = graph if isinstance(graph, bytes) else str(graph)
        request = openvino.Core().compile_model(source, "CPU", settings).create_infer_request()
    except RuntimeError as error:
        raise CheckpointError(f"{_where(graph)}: not a graph that OpenVINO reads ({error}): export it again") from error

    def run(names: Sequence[str], feed: Feed) -> list[Array]:
        request.infer(dict(feed))
        return [np.array(request.get_tensor(name).data) for name in names]

    return run
