"""The process that reads sources of a corpus for `reading`: names on standard input, passages on standard output."""

from __future__ import annotations

import json
import sys
from dataclasses import astuple
from pathlib import Path

from aegis.research.search.documents.corpus import Corpus


def answer() -> None:
    """Write the passages of each named source, a line each, until the input ends."""
    given = json.loads(sys.argv[1])
    folders, library = given["site_folders"], given["standard_library"]
    corpus = Corpus(
        None if folders is None else tuple(folders),
        None if library is None else Path(library),
        given["python_itself"],
    )
    sources = {source.name: source for source in corpus.sources()}
    for line in sys.stdin:
        print(json.dumps([astuple(hit) for hit in sources[json.loads(line)].read()]), flush=True)
