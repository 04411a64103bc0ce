from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from core.corpus_options import CorpusOptions
from corpora.documents import iter_documents
from corpora.pipeline import build_corpus
from corpora.readers.source import SourceFile
from corpora.report import CorpusReport
from corpora.split_names import SplitName

PROSE = (
    "The children of the village walked along the river and talked of the summer that was over. "
    "They had with them the old dog, who was slow to follow and quick to rest in the shade. "
    "When the bridge came into sight, the eldest began to run, and the others ran after her. "
    "Nobody noticed that the dog had turned back to the mill, where the kitchen was warm. "
    "It was dark before they found him, asleep between two sacks of flour, white as a ghost."
)
GERMAN = "Die Kinder des Dorfes gingen am Fluss entlang und sprachen vom vergangenen Sommer. " * 2
QUESTION = "Who wrote the long letter that the captain of the ship found in his cabin?"
PAGES = {
    "kept": PROSE,
    "with a menu": f"Home News\n{PROSE.replace('river', 'canal')}\nWrite to me@example.com.",
    "too short": PROSE[:150],
    "a program": PROSE.replace("dog", "{dog}"),
    "a heading alone": PROSE[:-1],
    "lines twice": f"{PROSE}\n{PROSE}",
    "in German": GERMAN,
    "a shop": "Buy cheap garden chairs online today, fast shipping worldwide! " * 8,
    "blank": " \n ",
    "a quotation": f"{PROSE.replace('river', 'shore')} {QUESTION}",
}


def source_file(path: Path, data: bytes) -> SourceFile:
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return SourceFile(path=path, filename=path.name, sha256=sha256, id=f"file_{path.stem}")


def build(root: Path, *, evaluation: str | None = None, **clean: Any) -> CorpusReport:
    lines = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in PAGES.values())
    build_corpus(
        [source_file(root / "pages.jsonl", lines)],
        options=CorpusOptions.model_validate({"clean": clean, "validation_fraction": 0.0}),
        directory=root / "corpus",
        scratch=root / "scratch",
        progress=lambda _: None,
        evaluation_file=(
            source_file(root / "questions.txt", evaluation.encode()) if evaluation else None
        ),
    )
    return CorpusReport.model_validate_json((root / "corpus" / "report.json").read_bytes())


def kept(root: Path) -> str:
    """All that the corpus holds; of so small a one the end of a document is held out."""
    return "".join(
        document.text
        for split in get_args(SplitName)
        for document in iter_documents(root / "corpus", split)
    )


def test_light_cleaning_drops_the_blank_page_alone(tmp_path: Path) -> None:
    report = build(tmp_path, profile="light")
    assert report.stats.dropped == {"empty": 1}
    assert report.stats.languages["de"] == 1
    assert sum(report.stats.languages.values()) == report.stats.num_documents == 9


def test_the_web_profile_drops_each_page_for_its_own_reason(tmp_path: Path) -> None:
    report = build(
        tmp_path,
        evaluation=QUESTION,
        profile="web",
        languages=["en"],
        remove=["email", "ip"],
        decontaminate="file_questions",
    )
    assert report.stats.dropped == {
        "c4_curly_brace": 1,
        "contaminated": 1,
        "empty": 1,
        "fineweb_line_punctuation": 1,
        "gopher_duplicate_lines": 1,
        "gopher_stop_words": 1,
        "gopher_word_count": 1,
        "language": 1,
    }
    assert report.removed_lines == {"c4_line_words": 1}
    assert report.redactions == {"email": 1}
    text = kept(tmp_path)
    assert report.stats.num_documents == 2
    assert len(text) == len(f"{PROSE}{PROSE}\nWrite to |||EMAIL_ADDRESS|||.")
    assert "Write to |||EMAIL_ADDRESS|||." in text
    assert all(reason.examples for reason in report.dropped.values())


def test_what_cleaning_took_is_counted_to_the_byte(tmp_path: Path) -> None:
    report = build(tmp_path, profile="web", remove=["email"])
    [stage] = [stage for stage in report.stages if stage.stage == "clean"]
    assert stage.num_in - sum(gone.count for gone in stage.removed.values()) == stage.num_out
    removed = sum(gone.num_bytes for gone in stage.removed.values())
    menu, address = len(b"Home News\n"), len(b"|||EMAIL_ADDRESS|||") - len(b"me@example.com")
    assert stage.changed_bytes == address - menu
    assert stage.bytes_in - removed + stage.changed_bytes == stage.bytes_out
    assert stage.bytes_out == len(kept(tmp_path).encode())


@pytest.mark.parametrize("profile", ["light", "web"])
def test_equal_options_give_equal_corpora_however_they_are_said(
    tmp_path: Path, profile: str
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one = build(tmp_path / "one", profile=profile, languages=["en", "de"])
    other = build(
        tmp_path / "other",
        profile=profile,
        languages=["de", "en", "en"],
        filters={"language": {"min_confidence": 0.65}},
    )
    assert one.digest == other.digest
