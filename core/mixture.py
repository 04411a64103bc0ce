"""Mixtures: several corpora in one job, each with its share of the samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Discriminator, Field, Tag

from core.frozen import Frozen

MAX_CORPORA: Final = 64


class CorpusWeight(Frozen):
    """A corpus of a mixture, as a user asks for it."""

    corpus: str = Field(description="The id of a corpus")
    weight: float = Field(default=1.0, gt=0, le=1e6, description="Its share, beside the others'")


class MixtureComponent(CorpusWeight):
    """A corpus of a mixture, as it was when the job's spec was settled."""

    digest: str = Field(description="Of the corpus's content")


def _each_once(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    if not parts:
        raise ValueError("a mixture has at least one corpus")
    ids = [part.corpus for part in parts]
    twice = [id_ for id_ in ids if ids.count(id_) > 1]
    if twice:
        raise ValueError(f"a corpus stands in a mixture once, {twice[0]!r} stands in it twice")
    return parts


def _kind(value: object) -> str:
    return "mixture" if isinstance(value, list | tuple) else "id"


_Id = Annotated[str, Tag("id")]
_LENGTH = Field(max_length=MAX_CORPORA, strict=False)
CorpusRequest = Annotated[
    _Id | Annotated[tuple[CorpusWeight, ...], _LENGTH, AfterValidator(_each_once), Tag("mixture")],
    Discriminator(_kind),
]
CorpusSpec = Annotated[
    _Id
    | Annotated[tuple[MixtureComponent, ...], _LENGTH, AfterValidator(_each_once), Tag("mixture")],
    Discriminator(_kind),
]


def weights_of(corpus: str | Sequence[CorpusWeight]) -> dict[str, float]:
    """The share of each corpus by its id, together 1; a corpus alone has all."""
    if isinstance(corpus, str):
        return {corpus: 1.0}
    total = sum(part.weight for part in corpus)
    return {part.corpus: part.weight / total for part in corpus}
