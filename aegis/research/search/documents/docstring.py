"""The public docstrings of a Python source file, read from its syntax tree; nothing is imported or run."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aegis.research.search.documents.skeleton import skeleton

MAX_SIGNATURE_CHARACTERS = 120

_FIELD_SECTION = re.compile(
    r"^[ \t]*\**(?:(?:other |keyword )?(?:args|arguments|parameters|params)|returns?|raises|yields?|examples?"
    r"|attributes|references|see also|usage|methods|inputs?|outputs?|shape|doctests?|copyright|author|license)"
    r"\s*:{0,2}\**[ \t]*$"
    r"|^[ \t]*[:@](?:param|parameter|type|returns?|rtype|raises?|arg|keyword|kwarg|ivar|cvar|var|copyright|license)\b",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A documented name of a module; the module itself has the name ''."""

    name: str
    """Dotted below the module, e.g. `Connection.backup`."""
    signature: str
    """E.g. `backup(target, *, pages=-1)`; '' if it has none."""
    doc: str


@dataclass(frozen=True, slots=True)
class Export:
    """A name that a module imports from another module; `*` for all public names."""

    module: str
    name: str
    public_name: str


@dataclass(frozen=True, slots=True)
class ParsedModule:
    """The public documentation of a source file."""

    entries: tuple[Entry, ...]
    exports: tuple[Export, ...]
    listed: frozenset[str] | None
    """Its `__all__`, if that is a plain list."""

    def exposes(self, name: str) -> bool:
        """Return whether `import *` brings the name."""
        return name in self.listed if self.listed is not None else not name.startswith("_")


def parse_module(source: bytes, name: str, is_package: bool) -> ParsedModule | None:
    """Return the module's public documentation; None if the source can't be parsed."""
    tree = _tree(skeleton(source)) or _tree(source)
    if tree is None:
        return None
    package = name if is_package else name.rpartition(".")[0]
    statements = list(_top_level(tree.body))
    module_doc = ast.get_docstring(tree)
    own = [Entry("", "", module_doc)] if module_doc else []
    return ParsedModule(
        entries=(*own, *_entries(statements, prefix="")),
        exports=tuple(e for s in statements if isinstance(s, ast.ImportFrom) for e in _exports(s, package)),
        listed=_listed(statements),
    )


def describing_part(doc: str) -> str:
    """Return the part of a docstring before its lists of parameters, returns and examples."""
    field = _FIELD_SECTION.search(doc)
    return doc[: field.start()] if field else doc


def split_signature(doc: str) -> tuple[str, str]:
    """Return (signature, rest) of a docstring whose first line is a call, as in compiled functions."""
    match = re.match(r"^\s*(?:\w+\.)*(\w+\([^\n]*?\))[ \t]*(-+>[^\n]*|:[ \t]*)?(?:\n|$)", doc)
    if not match:
        return "", doc
    returned = (match.group(2) or "").lstrip("->: ")
    told = returned + "\n" if len(returned.split()) >= 3 else ""  # `-> int` tells nothing, `-> Yield tuples until` does
    return shortened_signature(match.group(1)), told + doc[match.end() :].lstrip("\n")


def shortened_signature(signature: str) -> str:
    """Return the signature on a single line; its arguments become `…` if it is too long to read."""
    line = " ".join(signature.split())
    return line if len(line) <= MAX_SIGNATURE_CHARACTERS else line.partition("(")[0] + "(…)"


def _tree(source: bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():  # an invalid escape in a third party's source is no concern of the user
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _top_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, (ast.If, ast.Try)):
            yield from _top_level(statement.body)
            if isinstance(statement, ast.Try):
                for handler in statement.handlers:
                    yield from _top_level(handler.body)
            yield from _top_level(statement.orelse)
        else:
            yield statement


def _entries(statements: Sequence[ast.stmt], prefix: str) -> Iterator[Entry]:
    for node in statements:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
            continue
        doc = ast.get_docstring(node, clean=False)
        if doc and doc.strip():
            yield Entry(prefix + node.name, _signature(node, bound=bool(prefix)), inspect.cleandoc(doc))
        if isinstance(node, ast.ClassDef):
            yield from _entries(list(_top_level(node.body)), prefix=f"{prefix}{node.name}.")


def _signature(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, bound: bool) -> str:
    if isinstance(node, ast.ClassDef):
        init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        return f"{node.name}{_arguments(init, bound=True)}" if init else ""
    decorators = {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
    if decorators & {"property", "cached_property"}:
        return ""
    return f"{node.name}{_arguments(node, bound=bound and 'staticmethod' not in decorators)}"


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef, bound: bool) -> str:
    """Return the arguments without annotations, e.g. `(target, *, pages=-1)`; `bound` leaves out the first."""
    given = node.args
    for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if argument is not None:
            argument.annotation = None
    if bound and (given.posonlyargs or given.args):
        first = given.posonlyargs or given.args
        if len(given.defaults) < len(given.posonlyargs) + len(given.args):
            first.pop(0)
    try:
        return shortened_signature(f"({ast.unparse(given)})")
    except (ValueError, RecursionError):
        return "(…)"


def _exports(node: ast.ImportFrom, package: str) -> Iterator[Export]:
    module = node.module or ""
    if node.level:
        parents = package.split(".")
        kept = parents[: len(parents) - (node.level - 1)]
        module = ".".join([*kept, module] if module else kept)
    for alias in node.names:
        public_name = alias.asname or alias.name
        if not public_name.startswith("_"):
            yield Export(module, alias.name, public_name)


def _listed(statements: Sequence[ast.stmt]) -> frozenset[str] | None:
    for node in statements:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, (ast.List, ast.Tuple)):
            continue
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets):
            values = [e.value for e in node.value.elts if isinstance(e, ast.Constant)]
            return frozenset(v for v in values if isinstance(v, str))
    return None
