"""The Hierarchical Reasoning Model: the model, its tokens, its folder, and the policy made of them."""

from aegis.hrm.checkpoint import read_document, read_model, read_tensors, write_folder
from aegis.hrm.codec import Batch, StateCodec, encode_actions, pad
from aegis.hrm.device import has_bf16, resolve_device
from aegis.hrm.model import HRM, PARAMETERS, Carry, SegmentOutput, ngram_ids, output_tokens, part_parameters
from aegis.hrm.policy import HRMPolicy
from aegis.hrm.vocabulary import END_OF_TEXT_ID, VOCABULARY_SIZE, load_vocabulary

__all__ = [
    "END_OF_TEXT_ID",
    "HRM",
    "PARAMETERS",
    "VOCABULARY_SIZE",
    "Batch",
    "Carry",
    "HRMPolicy",
    "SegmentOutput",
    "StateCodec",
    "encode_actions",
    "has_bf16",
    "load_vocabulary",
    "ngram_ids",
    "output_tokens",
    "pad",
    "part_parameters",
    "read_document",
    "read_model",
    "read_tensors",
    "resolve_device",
    "write_folder",
]
