"""Real text that every machine with Python has: its manual's topics and its library's docstrings.

About 2 MB of English, written by many hands over thirty years; nothing is downloaded.
"""

from __future__ import annotations

import ast
import gzip
import json
import pydoc_data.topics
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_SHORTEST_DOCSTRING: Final = 40
"""In characters; shorter ones say "Return self." and the like."""
_NOT_LIBRARY: Final = frozenset({
    "site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo",
})  # fmt: skip

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def write_texts(directory: Path, *, progress: Callable[[float], None]) -> list[Path]:
    """Write the text as one Markdown file, one JSON-lines file and one that is compressed."""
    directory.mkdir(parents=True)
    records = _docstrings(progress)
    half = len(records) // 2
    topics = directory / "topics.md"
    topics.write_text("\n\n".join(pydoc_data.topics.topics.values()), encoding="utf-8")
    plain = directory / "docstrings-1.jsonl"
    plain.write_bytes(_as_json_lines(records[:half]))
    compressed = directory / "docstrings-2.jsonl.gz"
    compressed.write_bytes(gzip.compress(_as_json_lines(records[half:]), mtime=0))
    return [topics, plain, compressed]


def _docstrings(progress: Callable[[float], None]) -> list[dict[str, str]]:
    """Each docstring once, with the module it comes from."""
    library = Path(sysconfig.get_path("stdlib"))
    sources = [
        path
        for path in sorted(library.rglob("*.py"))
        if _NOT_LIBRARY.isdisjoint(path.relative_to(library).parts)
    ]
    texts: dict[str, str] = {}
    for number, source in enumerate(sources):
        for text in _docstrings_of(source):
            texts.setdefault(text, str(source.relative_to(library)))
        progress((number + 1) / len(sources))
    return [{"text": text, "module": module} for text, module in texts.items()]


def _docstrings_of(source: Path) -> Iterator[str]:
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError):  # a template or a deliberately broken example
        return
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED):
            text = ast.get_docstring(node)
            if text is not None and len(text) >= _SHORTEST_DOCSTRING:
                yield text


def _as_json_lines(records: list[dict[str, str]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)
