"""Corpora put together from pieces: near-duplicates, growth, and any way of parting the files."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.corpus_options import CorpusOptions
from core.errors import BadData
from corpora.decontamination import read_evaluation
from corpora.documents import CorpusManifest, iter_documents
from corpora.pipeline import assemble_corpus
from corpora.plan import SourceSize, plan_pieces
from corpora.readers.source import SourceFile
from corpora.reading import read_piece
from corpora.report import CorpusReport
from corpora.split_names import SPLIT_NAMES

Contents = Mapping[str, bytes]
NUM_WORDS = 60
PIECE_FILES = ("facts.bin", "texts.jsonl.zst", "findings.json", "manifest.json")


@dataclass(frozen=True)
class Made:
    """A corpus and the pieces that it was made from."""

    directory: Path
    pieces: tuple[Path, ...]
    manifest: CorpusManifest

    @property
    def report(self) -> CorpusReport:
        return CorpusReport.model_validate_json((self.directory / "report.json").read_bytes())

    def texts(self, split: str) -> list[str]:
        return [document.text for document in iter_documents(self.directory, split)]  # type: ignore[arg-type]

    def stored(self) -> dict[str, bytes]:
        paths = [path for path in self.directory.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.directory)): path.read_bytes() for path in paths}


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("corpus")


def sources(root: Path, contents: Contents) -> list[SourceFile]:
    files = []
    for filename, data in contents.items():
        sha256 = hashlib.sha256(data).hexdigest()
        path = root / f"stored-{sha256}-{filename.replace('/', '-')}"
        path.write_bytes(data)
        files.append(SourceFile(path, filename=filename, sha256=sha256, id=f"file_{filename}"))
    return files


def make(
    root: Path,
    contents: Contents,
    *,
    base: Made | None = None,
    evaluation_file: SourceFile | None = None,
    bytes_per_piece: int = 2000,
    **options: Any,
) -> Made:
    """Read and put together, as several workers would; ``base`` is extended by ``contents``."""
    files = sources(root, contents)
    checked = CorpusOptions.model_validate(options)
    evaluation = read_evaluation(evaluation_file, options=checked) if evaluation_file else None
    sizes = [SourceSize(f.id, f.filename, f.sha256, f.path.stat().st_size) for f in files]
    by_id = {file.id: file for file in files}
    pieces = list(base.pieces) if base else []
    for number, ids in enumerate(plan_pieces(sizes, bytes_per_piece=bytes_per_piece)):
        pieces.append(root / f"piece-{number}")
        read_piece(
            [by_id[id_] for id_ in ids],
            options=checked,
            evaluation=evaluation,
            directory=pieces[-1],
            progress=lambda _: None,
        )
    manifest = assemble_corpus(
        pieces,
        options=checked,
        base=base.manifest if base else None,
        directory=root / "corpus",
        scratch=root / "scratch",
        progress=lambda _: None,
    )
    return Made(root / "corpus", tuple(pieces), manifest)


def jsonl(texts: Sequence[str]) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def a_text(number: int, *, ending: str = "") -> str:
    generator = random.Random(number)
    words = ["".join(generator.choices("abcdefgh", k=5)) for _ in range(NUM_WORDS)]
    return " ".join([*words, ending]).strip()


def files_of(texts: Sequence[str], *, number: int = 4) -> dict[str, bytes]:
    return {f"{i}.jsonl": jsonl(texts[i::number]) for i in range(number)}


def assert_it_adds_up(made: Made) -> None:
    stats, told = made.manifest.stats, made.report
    dropped = sum(stats.dropped.values())
    assert stats.num_records == stats.num_documents + stats.num_duplicates + dropped
    assert told.stages[0].num_in == stats.num_records
    for stage, following in zip(told.stages, (*told.stages[1:], None), strict=True):
        removed = stage.removed.values()
        assert stage.num_in - sum(part.count for part in removed) == stage.num_out
        removed_bytes = sum(part.num_bytes for part in removed)
        assert stage.bytes_in - removed_bytes + stage.changed_bytes == stage.bytes_out
        if following:
            assert (stage.num_out, stage.bytes_out) == (following.num_in, following.bytes_in)
    texts = [text for split in SPLIT_NAMES for text in made.texts(split)]
    assert told.stages[-1].bytes_out == stats.num_bytes == sum(len(t.encode()) for t in texts)
    assert told.characters.num_characters == sum(map(len, texts))
    assert sum(told.characters.scripts.values()) == told.characters.num_characters
    assert told.duplicates.num_exact + told.duplicates.num_near == stats.num_duplicates
    assert sum(file.text_bytes for file in told.files) == stats.num_bytes
    assert sum(file.num_bytes for file in told.files) == sum(
        source.stat().st_size for source in made.directory.parent.glob("stored-*")
    )
    assert told.split.leakage.num_exact == 0
    assert told.split.leakage.num_near in {0, None}
    report_sha256 = hashlib.sha256((made.directory / "report.json").read_bytes()).hexdigest()
    assert made.manifest.report_sha256 == report_sha256


def test_near_duplicates_are_removed_within_and_across_files(fresh: Callable[[], Path]) -> None:
    texts = [a_text(number, ending=ending) for number in range(30) for ending in ("a", "bb", "A")]
    made = make(fresh(), files_of(texts), deduplicate="near", validation_fraction=0.3)
    assert_it_adds_up(made)
    kept = {*made.texts("train"), *made.texts("validation")}
    assert kept == {a_text(number, ending="bb") for number in range(30)}
    duplicates = made.report.duplicates
    assert (duplicates.num_exact, duplicates.num_near, duplicates.num_clusters) == (30, 30, 30)
    assert {cluster.num_members for cluster in duplicates.clusters} == {3}
    assert made.report.split.leakage.num_near == 0


def test_the_way_the_files_are_parted_and_ordered_changes_no_byte(
    fresh: Callable[[], Path],
) -> None:
    texts = [a_text(number % 25, ending="x" * (number % 3)) for number in range(60)]
    contents = {**files_of(texts, number=6), "broken.jsonl": b"{\n[]\n", "empty.txt": b""}
    made = [
        make(fresh(), dict(order), bytes_per_piece=bytes_per_piece, deduplicate="near")
        for order in (contents.items(), list(contents.items())[::-1])
        for bytes_per_piece in (1, 5000, 10**9)
    ]
    assert [len(one.pieces) for one in made[:3]] == [8, 6, 1]
    assert all(one.stored() == made[0].stored() for one in made)


def test_pieces_are_the_same_whoever_reads_them(fresh: Callable[[], Path]) -> None:
    texts = [a_text(number) for number in range(20)]
    pieces = [
        make(fresh(), files_of(texts, number=1), deduplicate="near").pieces[0] for _ in range(2)
    ]
    read = [{path.name: path.read_bytes() for path in piece.iterdir()} for piece in pieces]
    assert read[0] == read[1]
    names = {"manifest.json", "texts.jsonl.zst", "facts.bin", "signatures.bin", "findings.json"}
    assert set(read[0]) == names


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, damage) for name in PIECE_FILES for damage in ("cut", "gone")),
        ("texts.jsonl.zst", "overwritten"),
        ("findings.json", "overwritten"),
        ("manifest.json", "overwritten"),
    ],
)
def test_a_damaged_piece_is_named(fresh: Callable[[], Path], name: str, damage: str) -> None:
    made = make(fresh(), {"a.txt": b"first text", "b.txt": b"other text"}, bytes_per_piece=1)
    path = made.pieces[0] / name
    data = path.read_bytes()
    path.unlink()
    match damage:
        case "cut":
            path.write_bytes(data[:-1])
        case "overwritten":
            path.write_bytes(bytes(len(data)))
    with pytest.raises(BadData, match=name) as caught:
        assemble_corpus(
            made.pieces,
            options=made.manifest.options,
            directory=fresh(),
            scratch=fresh(),
            progress=lambda _: None,
        )
    assert caught.value.error_code == "piece_damaged"


def test_the_digest_names_the_evaluation_file_by_its_content(fresh: Callable[[], Path]) -> None:
    contents = files_of([a_text(number) for number in range(20)])
    digests = []
    for id_, text in [("file_a", a_text(3)), ("file_b", a_text(3)), ("file_b", a_text(4))]:
        [source] = sources(fresh(), {f"{id_}.txt": text.encode()})
        evaluation = SourceFile(source.path, source.filename, sha256=source.sha256, id=id_)
        clean = {"profile": "light", "decontaminate": id_}
        made = make(fresh(), contents, clean=clean, evaluation_file=evaluation)
        assert made.manifest.stats.dropped == {"contaminated": 1}
        digests.append((made.manifest.digest, made.report.digests.options))
    assert digests[0] == digests[1]
    assert digests[1] != digests[2]


@pytest.mark.parametrize("deduplicate", ["none", "exact", "near"])
def test_a_corpus_that_grows_keeps_every_document_on_its_side(
    fresh: Callable[[], Path], deduplicate: str
) -> None:
    options: dict[str, Any] = {"deduplicate": deduplicate, "validation_fraction": 0.3}
    base = make(fresh(), files_of([a_text(number) for number in range(40)]), **options)
    new = [a_text(number, ending="longer") for number in range(20, 60)]
    grown = make(fresh(), files_of(new), base=base, **options)
    again = make(fresh(), files_of([*new, a_text(99)]), base=grown, **options)
    assert base.manifest.splits["validation"].num_documents > 3
    for before, after in [(base, grown), (grown, again)]:
        for split, other in [("train", "validation"), ("validation", "train")]:
            beginnings = {text.split()[0] for text in before.texts(split)}
            assert beginnings <= {text.split()[0] for text in after.texts(split)}
            if deduplicate == "near":
                assert not beginnings & {text.split()[0] for text in after.texts(other)}
        assert after.manifest.split_rule.threshold == base.manifest.split_rule.threshold
        assert after.report.split.leakage.num_exact == 0
    assert again.manifest.split_rule.num_documents == (40, 80, 121)
    assert "extends" in grown.report.split.rule
    if deduplicate == "near":
        assert grown.manifest.stats.num_duplicates == 20
        assert again.manifest.stats.num_documents == 61


@pytest.mark.parametrize("deduplicate", ["none", "exact", "near"])
def test_the_held_out_tail_of_a_book_stays_held_out_when_the_corpus_grows(
    fresh: Callable[[], Path], deduplicate: str
) -> None:
    book = "".join(f"{a_text(number)}\n\n" for number in range(100))
    base = make(fresh(), {"book.txt": book.encode()}, deduplicate=deduplicate)
    new = {"again.txt": f"{book}And a word of thanks.".encode(), **files_of([a_text(500)])}
    grown = make(fresh(), new, base=base, deduplicate=deduplicate)
    [tail] = base.texts("validation")
    assert tail in grown.texts("validation")
    assert base.texts("train")[0] in grown.texts("train")
    if deduplicate == "near":
        assert grown.texts("validation") == [tail]
        assert not any(tail in text for text in grown.texts("train"))


@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    texts=st.lists(
        st.one_of(
            st.text(max_size=30),
            st.builds(a_text, st.integers(0, 4), ending=st.sampled_from(["", "a", "Ж\r\n", "bb"])),
        ),
        min_size=1,
        max_size=30,
    ),
    number=st.integers(1, 4),
    options=st.fixed_dictionaries(
        {
            "deduplicate": st.sampled_from(["none", "exact", "near"]),
            "clean": st.sampled_from(["none", "light", "web"]),
            "validation_fraction": st.sampled_from([0, 0.01, 0.3]),
        }
    ),
    seed=st.integers(0, 100),
)
def test_every_record_and_byte_is_accounted_for_whatever_the_order_of_files(
    fresh: Callable[[], Path], texts: list[str], number: int, options: dict[str, Any], seed: int
) -> None:
    contents = list(files_of(texts, number=number).items())
    shuffled = random.Random(seed).sample(contents, k=len(contents))
    try:
        made = make(fresh(), dict(contents), **options)
    except BadData as error:
        assert error.error_code == "corpus_empty"  # noqa: PT017  both outcomes are right
        return
    assert_it_adds_up(made)
    assert make(fresh(), dict(shuffled), **options).stored() == made.stored()
