"""Documentation markup as readable prose: sections, paragraphs, passages.

Understands as much of reStructuredText and Markdown as READMEs and docstrings use. Code, tables, badges and licence
texts are left out: a passage is meant to be read.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

MAX_PASSAGE_CHARACTERS = 600
MIN_PASSAGE_CHARACTERS = 60

_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(^[ \t]*\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_UNDERLINE = re.compile(r"^\s*([=\-~*^#+\"'`.:_])\1{2,}\s*$")
_ATX_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$")
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d{1,2}[.)])\s+")
_QUOTE_MARK = re.compile(r"^\s*>(?!>)\s?")
_TABLE_ROW = re.compile(r"^\s*(\||\+[-=+]|={3,} +={3,}|-{3,} +-{3,})")
_CODE_LINE = re.compile(
    r"^\s*(>>>|\.\.\. |\$ |% |#|@\w|import \w|from [\w.]+ import |def \w|class \w.*:|async |await |try:|print\("
    r"|return |(if|for|while|with|elif|except)\b.*:$|[\w.\[\]\"', ]+ [+*/-]?= "
    r"|[\w.]+\((?:(?! -> ).)*\)\s*(#.*)?$|[\w.]+\($|pip install |[\])}]"
    r"|<\?|</?\w)"
)
_DIRECTIVE = re.compile(r"^\s*\.\. +(?:\|[^|]*\| +)?([\w:-]+?)::\s*(.*)$")
_KEPT_DIRECTIVES = {"note", "warning", "important", "tip", "hint", "caution", "seealso", "attention", "admonition"}
_VERSION_DIRECTIVES = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
}
_TAG = re.compile(
    r"</?(?:a|p|img|br|div|span|h\d|b|i|em|strong|code|pre|table|tr|td|th|ul|ol|li|center|picture|source|sup|sub|details"
    r"|summary|kbd|hr|video|small|font|blockquote|tbody|thead|section|iframe|svg|u)\b[^<>]*>",
    re.IGNORECASE,
)
_INLINE = (
    ("![", re.compile(r"\[\s*!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])\s*\](?:\([^)]*\)|\[[^\]]*\])"), " "),  # linked badge
    ("![", re.compile(r"!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])"), " "),  # image
    ("](", re.compile(r"\[([^\]\[]+)\]\((?:[^()\s]|\([^)]*\))*(?:\s+\"[^\"]*\")?\)"), r"\1"),  # [text](url)
    ("][", re.compile(r"(?<=\S)?\[([^\]\[]+)\]\[[^\]]*\]"), r"\1"),  # [text][reference]
    (":`", re.compile(r":(?:[a-z]+:)?[a-z]+:`~?!?([^`<>]+?)(?:\s*<[^<>`]*>)?`"), r"`\1`"),  # :role:`name`
    (">`_", re.compile(r"(?<!`)`([^`<>]+?)\s*<[^<>`]+>`__?"), r"\1"),  # `text <url>`_
    ("`_", re.compile(r"(?<!`)`([^`<>]+?)`__?(?!\w)"), r"\1"),  # `text`_
    ("``", re.compile(r"``([^`]+)``"), r"`\1`"),
    ("[`", re.compile(r"\[(`[^`\]]+`)\](?!\()"), r"\1"),  # [`name`], a reference
    ("`", re.compile(r"`[~!]+(?=[\w.])"), "`"),
    ("|", re.compile(r"^\s*(?:\|[A-Za-z][\w -]*\|_?\s*)+$"), " "),  # a row of badges
    ("|", re.compile(r"(?<!\w)\|([A-Za-z][\w -]*)\|_?(?!\w)"), r"\1"),  # |substitution|
    ("[!", re.compile(r"\[!(?:TIP|NOTE|WARNING|IMPORTANT|CAUTION)\]"), " "),
    ("**", re.compile(r"\*\*([^*\s][^*\n]*?)\*\*(?!\w)"), r"\1"),
    ("*", re.compile(r"(?<![\w*\\(,=])\*([A-Za-z][\w -]*)\*(?![\w*])"), r"\1"),
    (":", re.compile(r"(?<![\w:]):[a-z][a-z0-9_]+:(?![\w:`])"), " "),  # :emoji:
    ("]_", re.compile(r"\[#?\w{1,12}\]_"), ""),  # footnote mark
    ("<http", re.compile(r"<(https?://[^<>\s]+)>"), r"\1"),
    ("\\", re.compile(r"\\([*_`~#\[\]()<>-])"), r"\1"),
    ("", re.compile(r"[^\S\n]{2,}"), " "),
)
"""(a mark, a pattern that matches only where the mark is, its replacement): most text has few of the marks."""
_LICENCE = re.compile(
    r"permission is hereby granted|without warranty|warranties of|licen[sc]ed under|redistribution and use in source"
    r"|spdx-license|all rights reserved|copyright \(c\)|\(c\) copyright|copyright ©|©|terms of the .{0,30}licen[sc]e",
    re.IGNORECASE,
)
_LICENCE_MARKS = ("permission is", "warrant", "licen", "redistribution", "all rights", "copyright", "©")
"""Each text that `_LICENCE` matches contains one of these; looking for them takes a tenth of its time."""
_ASCII_READABLE = (string.ascii_letters + " ").encode()
_SENTENCE_END = re.compile(r"(?<=[.!?:;])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)(?<!vs\.)\s+(?=[A-Z\"'`(•-])")


def split_sections(text: str) -> list[tuple[str, str]]:
    """Return (heading, body) pairs in order; text before the first heading has the heading ''."""
    lines = _without_fences(text).splitlines()
    sections: list[tuple[str, list[str]]] = [("", [])]
    position = 0
    while position < len(lines):
        line = lines[position]
        following = lines[position + 1] if position + 1 < len(lines) else ""
        atx = _ATX_HEADING.match(line)
        underlined = (
            line.strip() and not line[0].isspace() and not _UNDERLINE.match(line) and _UNDERLINE.match(following)
        )
        if atx or underlined:
            heading = " ".join(clean_inline(atx.group(1) if atx else line).strip(" *`_").split())
            sections.append((heading, []))
            position += 1 if atx else 2
            continue
        sections[-1][1].append(line)
        position += 1
    return [(heading, "\n".join(body)) for heading, body in sections]


def split_passages(text: str, count: int, first_budget: int = MAX_PASSAGE_CHARACTERS) -> list[str]:
    """Return at most `count` passages of readable prose, cut at sentence ends.

    `first_budget`: characters that the first passage may take, if something is to be put before it.
    """
    passages: list[str] = []
    current = ""
    for piece in _pieces(text):
        budget = MAX_PASSAGE_CHARACTERS if passages else first_budget
        if current and len(current) + 1 + len(piece) > budget:
            passages += _without_lead_in(current)
            if len(passages) >= count:
                return passages
            current = ""
            budget = MAX_PASSAGE_CHARACTERS if passages else first_budget
        if len(piece) > budget:
            piece = piece[: budget - 1].rsplit(" ", 1)[0] + "…"
        current = f"{current} {piece}".strip()
    return passages + _without_lead_in(current)


def _without_lead_in(passage: str) -> list[str]:
    """Return the passage without a last sentence that introduces removed text; '' if nothing remains."""
    kept = passage if not passage.endswith(":") else " ".join(_SENTENCE_END.split(passage)[:-1])
    return [kept] if kept else []


def is_worth_keeping(text: str, least_characters: int = MIN_PASSAGE_CHARACTERS) -> bool:
    """Return whether a passage is long enough, prose rather than symbols, and no licence text."""
    if len(text) < least_characters or len(text.split()) < 4 or _is_licence(text):
        return False
    return _count_readable(text) / len(text) > 0.75 and text.count("\\") < 4 and text.count("http") * 60 < len(text)


def _count_readable(text: str) -> int:
    """Return the number of characters that are letters or spaces."""
    if text.isascii():
        return len(text) - len(text.encode().translate(None, _ASCII_READABLE))
    return sum(map(str.isalpha, text)) + text.count(" ")


def _is_licence(text: str) -> bool:
    lowered = text.casefold()
    return any(mark in lowered for mark in _LICENCE_MARKS) and _LICENCE.search(text) is not None


def clean_inline(text: str) -> str:
    """Return text without inline markup; code keeps single backquotes."""
    if "<" in text:
        text = _TAG.sub(" ", text)
    for mark, pattern, replacement in _INLINE:
        if mark in text:
            text = pattern.sub(replacement, text)
    return text


def _pieces(text: str) -> Iterator[str]:
    """Yield paragraphs; a paragraph too long for a passage is yielded sentence by sentence."""
    for paragraph in _paragraphs(text):
        if len(paragraph) <= MAX_PASSAGE_CHARACTERS // 2:
            yield paragraph
        else:
            yield from _SENTENCE_END.split(paragraph)


def _paragraphs(text: str) -> Iterator[str]:
    """Yield each paragraph on a single line, without code, tables, directives and the lead-ins of removed code."""
    held = ""  # the last paragraph, until it is known whether code follows it
    skipped_deeper_than: int | None = None
    for indent, lines in _blocks(_without_fences(text)):
        if skipped_deeper_than is not None and indent > skipped_deeper_than:
            continue
        skipped_deeper_than = None
        if lines[0].lstrip().startswith(".. "):
            lines = _directive_text(lines)
            if not lines:
                skipped_deeper_than = indent
                continue
        if _is_code(lines, after_literal_mark=held.endswith("::")):
            if held.endswith("::"):
                skipped_deeper_than = indent - 1
            if held.endswith(":"):
                held = held.rstrip(":") + "." if len(held) > 80 else ""
            continue
        if held:
            yield _closed(held)
        held = _one_line(lines)
    if held:
        yield _closed(held)


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (indent, lines) of each run of lines; a bullet starts a run of its own."""
    block: list[str] = []
    for raw_line in [*text.expandtabs(4).splitlines(), ""]:
        line = _QUOTE_MARK.sub("", raw_line)
        starts_new = not line.strip() or _BULLET.match(line) or _DIRECTIVE.match(line)
        starts_code = line.lstrip().startswith(">>>") and block and not block[0].lstrip().startswith(">>>")
        if _UNDERLINE.match(line) and len(block) == 1:
            block = []  # a heading: no sentence
        if (starts_new or starts_code) and block:
            yield len(block[0]) - len(block[0].lstrip()), block
            block = []
        if line.strip() and not _UNDERLINE.match(line) and not _TABLE_ROW.match(line):
            block.append(line)


def _without_fences(text: str) -> str:
    """Return text with each fenced block as a line of code, so that its lead-in still precedes code."""
    return _FENCE.sub("\n>>> code\n\n", _COMMENT.sub("", text))


def _directive_text(lines: list[str]) -> list[str]:
    """Return a directive's text for readers; nothing for images, code, comments and the like."""
    directive = _DIRECTIVE.match(lines[0])
    if directive is None:
        return []
    kind, argument = directive.group(1).lower(), directive.group(2)
    if kind in _VERSION_DIRECTIVES and len(lines) > 1:
        version, _, remark = argument.partition(" ")
        return [f"{_VERSION_DIRECTIVES[kind]} {version}: {remark}".rstrip(), *lines[1:]]
    return [line for line in (argument, *lines[1:]) if line.strip()] if kind in _KEPT_DIRECTIVES else []


def _is_code(lines: list[str], after_literal_mark: bool) -> bool:
    if lines[0].lstrip().startswith(">>>") or any("::=" in line for line in lines):
        return True
    characters = "".join(lines)
    if _count_readable(characters) < 0.6 * len(characters):
        return True  # a drawing or a table of figures
    indented = lines[0].startswith("  ")
    if after_literal_mark and indented:
        return True
    codelike = sum(bool(_CODE_LINE.match(line)) for line in lines)
    return codelike * 2 >= len(lines) and (indented or codelike * 3 >= len(lines) * 2) and not _BULLET.match(lines[0])


def _one_line(lines: list[str]) -> str:
    joined = " ".join(line.strip() for line in lines if not re.match(r"^\s*\[[^\]]+\]:\s*\S+", line))
    return " ".join(clean_inline(_BULLET.sub("- ", joined) if _BULLET.match(joined) else joined).split())


def _closed(paragraph: str) -> str:
    return paragraph.removesuffix(":") if paragraph.endswith("::") else paragraph
