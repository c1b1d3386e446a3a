"""Hooks into Transformers while it reads a model: progress by tensors, and a single parse of a GGUF file."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any


@contextlib.contextmanager
def counting_tensors(tell: Callable[[int, int], None]) -> Iterator[None]:
    """Call `tell(done, total)` while Transformers reads tensors in this block, and keep its bars off the screen."""
    from transformers import modeling_gguf_pytorch_utils
    from transformers.utils import logging

    gguf_reading: Any = modeling_gguf_pytorch_utils

    def make_bar(items: Iterable[Any] = (), *rest: Any, **options: Any) -> _Bar:
        return _Bar(items, tell)

    set_hook: Any = getattr(logging, "set_tqdm_hook", None)  # Transformers 5.0 has no hook: nothing is counted
    before = set_hook(lambda factory, args, options: make_bar(*args, **options)) if set_hook else None
    # Its reader of GGUF files takes tqdm from this name, whatever the library's own settings are.
    own, gguf_reading.tqdm = gguf_reading.tqdm, make_bar
    try:
        yield
    finally:
        gguf_reading.tqdm = own
        if set_hook:
            set_hook(before)


@contextlib.contextmanager
def parsing_gguf_once() -> Iterator[None]:
    """Cache the parsed content of a GGUF file while the block runs; raises `ImportError` without the package gguf.

    Transformers parses the file once for the configuration, once for the tokenizer and twice for the weights. Each
    parse of a large vocabulary takes a quarter of a minute.
    """
    import gguf

    own: Any = gguf.GGUFReader
    names: Any = gguf
    names.GGUFReader = functools.cache(own)
    try:
        yield
    finally:
        names.GGUFReader = own


class _Bar:
    """Stands in for a tqdm bar."""

    def __init__(self, items: Iterable[Any], tell: Callable[[int, int], None]) -> None:
        self._items = items
        self._tell = tell

    def __iter__(self) -> Iterator[Any]:
        items = list(self._items)
        for number, item in enumerate(items):
            self._tell(number, len(items))
            yield item

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **options: None
