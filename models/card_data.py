"""What a model card says about the data: which text, whose, how much of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.spec import JobSpec

_SHOWN_FILES: Final = 10
_SHOWN_DIGITS: Final = 16
"""Of a digest in a table; the whole one follows in the JSON below."""
_NO_LICENCE: Final = "none was given"


def data_section(spec: JobSpec, provenance: Mapping[str, Any]) -> str:
    """A table of the corpora, their files, and what the tokenizer is.

    Args:
        spec: Gives the corpora, their shares and the tokenizer.
        provenance: Of a job of the service, ``corpora`` in the order of the spec; whoever trains
            without it may know no more than ``datasets``, with their digests.
    """
    corpora: Sequence[Mapping[str, Any]] = provenance.get("corpora", ())
    datasets: Sequence[Mapping[str, Any]] = provenance.get("datasets", ())
    rows = [
        _row(corpora[place] if place < len(corpora) else {}, corpus_id=corpus_id, share=share)
        for place, (corpus_id, share) in enumerate(spec.corpus_shares.items())
    ]
    parts = [
        "\n".join(
            [
                "| corpus | share | text for training | digest | licence |",
                "|---|---|---|---|---|",
                *rows,
            ]
        ),
        *(_files(corpus) for corpus in corpora if corpus.get("files")),
        *(
            f"Tokens: dataset `{dataset['digest']}` of corpus `{dataset['corpus_digest']}`."
            for dataset in datasets
        ),
    ]
    if "tokenizer_sha256" in provenance:
        parts.append(f"Tokenizer: sha256 `{provenance['tokenizer_sha256']}`.")
    return "\n\n".join(parts)


def _row(corpus: Mapping[str, Any], *, corpus_id: str, share: float) -> str:
    train = (corpus.get("splits") or {}).get("train") or {}
    amount = "unknown"
    if "num_bytes" in train:
        amount = f"{train['num_bytes'] / 1e6:,.1f} MB, {train['num_documents']:,} documents"
    digest = str(corpus.get("corpus_digest") or "")[:_SHOWN_DIGITS] or "unknown"
    name = _cell(corpus.get("corpus", corpus_id))
    licence = _cell(corpus.get("license") or _NO_LICENCE)
    return f"| {name} | {share:.0%} | {amount} | `{digest}` | {licence} |"


def _files(corpus: Mapping[str, Any]) -> str:
    """The files of a corpus, by name; of many the first."""
    files = corpus["files"]
    shown = ", ".join(f"`{_plain(file['filename'])}`" for file in files[:_SHOWN_FILES])
    more = f" and {len(files) - _SHOWN_FILES:,} more" if len(files) > _SHOWN_FILES else ""
    return f"Files of {_cell(corpus.get('corpus', 'the corpus'))}: {shown}{more}."


def _cell(value: object) -> str:
    """Text that ends no cell and is no Markdown of its own."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|!" else c for c in _plain(str(value)))


def _plain(text: str) -> str:
    return " ".join(text.replace("`", chr(0x2BC)).split())
