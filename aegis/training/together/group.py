"""The processes that train one HRM together, started by torchrun: what they add up, and what they tell each other.

Each process computes the gradients of its part of every batch. Their sums are the whole batch's gradients, so each
process takes the same step. The sums are torch.distributed's own (gloo on a CPU, NCCL on GPUs), of the optimizer's flat
tensors, once in a step. `DistributedDataParallel` itself does not fit here: it sums when autograd's backward pass ends,
but a step has several passes, whose number the answers decide, and the fused blocks keep their gradients from autograd.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from aegis.errors import AegisError, ConfigError

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_PATIENCE = timedelta(hours=2)
"""Longest wait for a process that lives and does not answer, such as one that encodes the decisions"""

T = TypeVar("T")


class Group:
    """A process's place among those that train together. Alone, every sum is the process's own."""

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.rank = rank
        """This process's number, from 0; the first one judges, records and writes the checkpoints"""
        self.size = size
        self.local_rank = local_rank
        """This process's number among those of its machine"""

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def part(self, rows: Sized) -> slice:
        """Return this process's part of the rows of a batch: the parts follow each other, and may be empty."""
        size = -(-len(rows) // self.size)
        return slice(self.rank * size, (self.rank + 1) * size)

    def add(self, tensor: Tensor) -> Tensor:
        """Overwrite the tensor with the sum over all processes, and return it."""
        if self.size > 1:
            with _explained():
                torch.distributed.all_reduce(tensor)
        return tensor

    def join(self, part: Tensor) -> list[Tensor]:
        """Return each process's part, in their order; the parts may differ in their first dimension."""
        if self.size == 1:
            return [part]
        counts = torch.zeros(self.size, dtype=torch.long, device=part.device)
        counts[self.rank] = len(part)
        sizes = self.add(counts).tolist()
        padded = part.new_zeros((max(sizes), *part.shape[1:]))
        padded[: len(part)] = part
        found = [torch.empty_like(padded) for _ in range(self.size)]
        with _explained():
            torch.distributed.all_gather(found, padded)
        return [one[:size] for one, size in zip(found, sizes, strict=True)]

    def hear(self, document: Any) -> Any:
        """Return the first process's document, which is JSON; the others' are ignored."""
        if self.size == 1:
            return document
        written = torch.from_numpy(np.frombuffer(json.dumps(document).encode(), dtype=np.uint8).copy())
        length = torch.tensor([len(written)])
        with _explained():
            torch.distributed.broadcast(length, 0)
            text = written if self.is_first else torch.empty(int(length), dtype=torch.uint8)
            torch.distributed.broadcast(text, 0)
        return json.loads(text.numpy().tobytes())

    def hear_tensors(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the first process's tensors, which are in the processor's memory; the others' are ignored."""
        if self.size == 1:
            return tensors
        shapes = {name: [str(one.dtype).removeprefix("torch."), list(one.shape)] for name, one in tensors.items()}
        found = {}
        for name, (kind, shape) in self.hear(shapes).items():
            one = tensors[name].contiguous() if self.is_first else torch.empty(shape, dtype=getattr(torch, kind))
            with _explained():
                torch.distributed.broadcast(one, 0)
            found[name] = one
        return found

    def check_alike(self, fields: Mapping[str, Any]) -> None:
        """Raise `ConfigError`, in all processes, unless all have the same fields, which JSON can hold."""
        given = json.loads(json.dumps(fields))
        first = self.hear(given)
        differs = torch.tensor([first[name] != given.get(name) for name in sorted(first)], dtype=torch.long)
        differing = [name for name, count in zip(sorted(first), self.add(differs).tolist(), strict=True) if count]
        if differing:
            raise ConfigError(
                f"the processes of the training differ in their {', '.join(differing)}: start all with the same options"
                " and decisions (where an agent adds decisions meanwhile, export them to a file for --data first)"
            )

    def in_turn(self, work: Callable[[], T]) -> T:
        """Return `work()`: the first process of each machine calls it before the others, which find its files."""
        if self.size == 1:
            return work()
        if self.local_rank == 0:
            found = work()
            self._wait()
            return found
        self._wait()
        return work()

    def _wait(self) -> None:
        with _explained():
            torch.distributed.barrier()


def launched() -> Group | None:
    """Return this process's place as torchrun set it; None for a process that trains alone."""
    given = {name: os.environ.get(name, "") for name in _VARIABLES}
    if not all(given.values()) or given["WORLD_SIZE"] == "1":
        return None
    try:
        return Group(int(given["RANK"]), int(given["WORLD_SIZE"]), int(given["LOCAL_RANK"]))
    except ValueError:
        raise ConfigError(f"RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers, not {given}: unset them") from None


def own_device(group: Group, device: str) -> str:
    """Return the device of this process: on GPUs, each process of a machine has its own."""
    return f"cuda:{group.local_rank}" if group.size > 1 and device == "cuda" else device


@contextmanager
def connected(group: Group, device: str) -> Iterator[None]:
    """Connect the processes while the block runs; raises `AegisError` where they don't find each other."""
    if group.size == 1:
        yield
        return
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(device)
    with _explained():
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise AegisError(
            "the processes that train together can't reach each other: one ended (its own message says why), or the"
            " network between the machines fails (GLOO_SOCKET_IFNAME names the interface); start all again, with"
            f" --resume after a checkpoint ({str(error).strip().splitlines()[0][:200]})"
        ) from error
