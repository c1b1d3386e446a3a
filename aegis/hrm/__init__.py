"""The Hierarchical Reasoning Model: the model, its tokens, its folder, and the policies built on them.

Each module is imported on first access to one of its names, so that an exported policy (`OnnxPolicy`) decides without
torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.packages import on_demand

if TYPE_CHECKING:
    from aegis.config import BACKENDS
    from aegis.hrm.backend import load_policy
    from aegis.hrm.base import base_of, kept_of, known_actions
    from aegis.hrm.checkpoint import read_document, read_model, read_tensors, write_folder
    from aegis.hrm.codec import Batch, StateCodec, encode_actions, pad
    from aegis.hrm.delta import read_version
    from aegis.hrm.device import has_bf16, resolve_device, use_threads
    from aegis.hrm.linear.hashing import field_key, word_key
    from aegis.hrm.linear.mixed import MixedPolicy, mix
    from aegis.hrm.linear.policy import LinearPolicy
    from aegis.hrm.model import HRM, PARAMETERS, Carry, SegmentOutput, ngram_ids, part_parameters
    from aegis.hrm.onnx.export import Example, ExportReport, export_onnx
    from aegis.hrm.onnx.policy import OnnxPolicy
    from aegis.hrm.outputs import NEWEST_FORM, TOKENS_FORM, Outputs, action_outputs, token_outputs
    from aegis.hrm.policy import HRMPolicy, load_version, write_delta
    from aegis.hrm.reading.count import ReadingCount, ReadingReport
    from aegis.hrm.vocabulary import END_OF_TEXT_ID, VOCABULARY_SIZE, load_vocabulary

_MODULES = {
    "backend": ("BACKENDS", "load_policy"),
    "checkpoint": ("read_document", "read_model", "read_tensors", "write_folder"),
    "codec": ("Batch", "StateCodec", "encode_actions", "pad"),
    "base": ("base_of", "kept_of", "known_actions"),
    "delta": ("read_version",),
    "device": ("has_bf16", "resolve_device", "use_threads"),
    "linear.hashing": ("field_key", "word_key"),
    "linear.mixed": ("MixedPolicy", "mix"),
    "linear.policy": ("LinearPolicy",),
    "onnx.export": ("Example", "ExportReport", "export_onnx"),
    "model": ("HRM", "PARAMETERS", "Carry", "SegmentOutput", "ngram_ids", "part_parameters"),
    "onnx.policy": ("OnnxPolicy",),
    "outputs": ("NEWEST_FORM", "TOKENS_FORM", "Outputs", "action_outputs", "token_outputs"),
    "policy": ("HRMPolicy", "load_version", "write_delta"),
    "reading.count": ("ReadingCount", "ReadingReport"),
    "vocabulary": ("END_OF_TEXT_ID", "VOCABULARY_SIZE", "load_vocabulary"),
}

__all__ = [
    "BACKENDS",
    "END_OF_TEXT_ID",
    "HRM",
    "NEWEST_FORM",
    "PARAMETERS",
    "TOKENS_FORM",
    "VOCABULARY_SIZE",
    "Batch",
    "Carry",
    "Example",
    "ExportReport",
    "HRMPolicy",
    "LinearPolicy",
    "MixedPolicy",
    "OnnxPolicy",
    "Outputs",
    "ReadingCount",
    "ReadingReport",
    "SegmentOutput",
    "StateCodec",
    "action_outputs",
    "base_of",
    "encode_actions",
    "export_onnx",
    "field_key",
    "has_bf16",
    "kept_of",
    "known_actions",
    "load_policy",
    "load_version",
    "load_vocabulary",
    "mix",
    "ngram_ids",
    "pad",
    "part_parameters",
    "read_document",
    "read_model",
    "read_tensors",
    "read_version",
    "resolve_device",
    "token_outputs",
    "use_threads",
    "word_key",
    "write_delta",
    "write_folder",
]

__getattr__ = on_demand(__name__, _MODULES, "an HRM that is not exported to ONNX", "train")
