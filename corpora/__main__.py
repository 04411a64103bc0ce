"""``python -m corpora FILE... --out DIR [--vocab-size N]``: text to what ``training`` reads.

Makes of the files what the service would with its defaults: a corpus in ``DIR/corpus``, with its
report, and in ``DIR/dataset`` its tokenizer and what that encodes.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from core.corpus_options import CorpusOptions
from core.errors import BadData, InvalidRequest
from core.lifecycle import ExitCode
from corpora.encode import encode_corpus
from corpora.pipeline import SourceFile, build_corpus
from corpora.progress import Progress
from corpora.tokenizer_training import train_tokenizer

_SECONDS_BETWEEN_LINES: Final = 2.0


def main(arguments: Sequence[str] | None = None) -> ExitCode:
    """Make what the command line asks for; returns how that ended."""
    given = _parser().parse_args(arguments)
    try:
        make_dataset(given.files, out=given.out, vocab_size=given.vocab_size)
    except InvalidRequest as error:
        return _failed(error.message, ExitCode.BAD_SPEC)
    except BadData as error:
        return _failed(error.message, ExitCode.BAD_DATA)
    except OSError as error:
        return _failed(f"{error.filename or given.out}: {error.strerror}", ExitCode.BAD_DATA)
    except KeyboardInterrupt:
        return _failed("interrupted; nothing is kept", ExitCode.INTERNAL)
    return ExitCode.DONE


def make_dataset(files: Sequence[Path], *, out: Path, vocab_size: int | None) -> None:
    """A corpus of the files, a tokenizer of the corpus, and the corpus in its tokens.

    ``out`` gets all of it or nothing.

    Raises:
        InvalidRequest: ``out`` holds something already, or ``vocab_size`` is less than all bytes.
        BadData: a file is damaged, nothing is left of them, or too little for the vocabulary.
        OSError: a file cannot be read, or ``out`` cannot be written.
    """
    if out.exists() and any(out.iterdir()):
        raise InvalidRequest(f"{out} is not empty; name a directory that is, or is not there yet.")
    sources = [_source(file) for file in dict.fromkeys(files)]
    out.mkdir(parents=True, exist_ok=True)
    told = _Lines()
    with TemporaryDirectory(dir=out, prefix="unfinished-") as unfinished:
        corpus, dataset = Path(unfinished) / "corpus", Path(unfinished) / "dataset"
        build_corpus(
            sources,
            options=CorpusOptions(),
            directory=corpus,
            scratch=Path(unfinished),
            progress=told,
        )
        tokenizer = train_tokenizer(corpus, vocab_size=vocab_size, progress=told)
        made = encode_corpus(
            corpus, tokenizer_json=tokenizer.json, directory=dataset, progress=told
        )
        for directory in (corpus, dataset):
            directory.rename(out / directory.name)
    sys.stdout.write(
        f"{out / 'dataset'}: {made.splits['train'].num_tokens} tokens to train on, "
        f"{made.splits['validation'].num_tokens} held out, "
        f"a vocabulary of {tokenizer.vocab_size}\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m corpora", description="Make a dataset of text for `python -m training`."
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="text of any format")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where it goes")
    parser.add_argument(
        "--vocab-size", type=int, metavar="N", help="of the tokenizer; else by the text's size"
    )
    return parser


def _source(path: Path) -> SourceFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return SourceFile(path, filename=path.name, sha256=sha256, id=str(path))


def _failed(message: str, code: ExitCode) -> ExitCode:
    sys.stderr.write(f"{message}\n")
    return code


class _Lines:
    """A line on standard error for each stage, and every few seconds of it."""

    def __init__(self) -> None:
        self._stage = ""
        self._told_at = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage == self._stage and now - self._told_at < _SECONDS_BETWEEN_LINES:
            return
        self._stage, self._told_at = progress.stage, now
        sys.stderr.write(f"{progress.stage}: {progress.fraction:.0%}\n")


if __name__ == "__main__":
    sys.exit(main())
