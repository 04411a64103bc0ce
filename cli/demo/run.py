"""The demonstration, from text to two models, told as it happens.

Everything goes through HTTP, as any other program would do it. It ends with exit status 1 if the
models have not learned, if a digest differs, or if anything else is not as promised.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.demo import checkpoints, models, texts, training
from cli.demo.client import Client
from cli.demo.failure import DemoFailed, require
from cli.demo.screen import Screen
from cli.demo.service import running_service

ENCODER_BUDGET: Final = {"tokens": "1M", "seconds": 150}
DECODER_BUDGET: Final = {"tokens": "1M", "seconds": 150}
"""Whichever is first: the tokens take about a minute on two cores that have nothing else to do."""
BLANKS: Final = [
    "Return the ____ of the list.",
    "If the file does not ____, an error is raised.",
    "This method is called when the ____ is closed.",
]
PROMPTS: Final = ["Return a new", "If the argument is"]
VALIDATION_FRACTION: Final = 0.05
"""Of little text, more than usual is held out: a twentieth of 2 MB measures to about 1 %."""
LEAST_GAIN: Final = 0.10
"""How much better than always guessing the five most frequent tokens the encoder must be."""

_TOP_5: Final = "validation/masked_accuracy_top5"
_BASELINE: Final = "validation/unigram_accuracy_top5"
_BITS_PER_BYTE: Final = "validation/bits_per_byte"
_POLL_SECONDS: Final = 0.3
_EXAMPLE_TOKENS: Final = 40


@dataclass(frozen=True, slots=True)
class _Stage:
    """What every act needs."""

    client: Client
    screen: Screen
    directory: Path


def demo(*, directory: Path | None) -> int:
    """Run it all; returns the exit status."""
    screen = Screen()
    begun_at = time.monotonic()
    chosen = directory or Path(tempfile.mkdtemp(prefix="pretrainer-demo-"))
    chosen = chosen.expanduser().absolute()
    try:
        _perform(chosen, screen)
    except KeyboardInterrupt:
        screen.say(f"Interrupted; everything is kept in {chosen}")
        raise
    except DemoFailed as failure:
        screen.title("The demonstration failed")
        screen.bad(str(failure))
        screen.say(f"Everything is kept in {chosen}; the logs are in {chosen / 'service' / 'logs'}")
        return 1
    _say_what_next(screen, chosen, seconds=time.monotonic() - begun_at)
    return 0


def _perform(directory: Path, screen: Screen) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    require(
        not (directory / "texts").exists(),
        f"There has been a demonstration in {directory} already; choose another directory.",
    )
    screen.title("1  Text that this machine already has")
    with screen.bar("reading docstrings") as bar:
        paths = texts.write_texts(directory / "texts", progress=bar.update)
    for path in paths:
        screen.say(f"{path.name}  {path.stat().st_size / 1e6:.2f} MB")

    screen.title("2  A service of our own")
    with (
        running_service(directory / "service", log=directory / "service.log") as url,
        Client(url) as client,
    ):
        screen.good(f"ready at {url}, everything below {directory / 'service'}")
        stage = _Stage(client=client, screen=screen, directory=directory)
        corpus = _build_corpus(stage, paths)
        _show_examples(stage, corpus)
        _train_encoder(stage, corpus)
        _train_decoder(stage, corpus)
    screen.title("7  The service has stopped")
    screen.good("cleanly, with everything saved")


def _build_corpus(stage: _Stage, paths: list[Path]) -> dict[str, Any]:
    client, screen = stage.client, stage.screen
    screen.title("3  Files become a corpus")
    files = [client.upload(path) for path in paths]
    for file in files:
        screen.say(f"uploaded {file['filename']}  {file['id']}  sha256 {file['sha256'][:16]}…")
    corpus = client.post(
        "/v1/corpora",
        {
            "name": "python-docs",
            "files": [file["id"] for file in files],
            "validation_fraction": VALIDATION_FRACTION,
            "metadata": {"by": "demo"},
        },
    )
    with screen.bar("building the corpus") as bar:
        while corpus["status"] in {"queued", "processing"}:
            bar.update(corpus["progress"], corpus["stage"] or "")
            time.sleep(_POLL_SECONDS)
            corpus = client.get(f"/v1/corpora/{corpus['id']}")
        bar.update(1.0)
    require(corpus["status"] == "ready", f"The corpus is {corpus['status']}: {corpus['error']}")
    stats, splits = corpus["stats"], corpus["splits"]
    screen.numbers({
        "corpus": corpus["id"],
        "records read": f"{stats['num_records']:,}",
        "documents kept": f"{stats['num_documents']:,}",
        "duplicates": f"{stats['num_duplicates']:,}",
        "dropped": f"{sum(stats['dropped'].values()):,}",
        "text to learn from": f"{splits['train']['num_bytes'] / 1e6:.2f} MB",
        "text held out": f"{splits['validation']['num_bytes'] / 1e6:.2f} MB",
    })  # fmt: skip
    accounted = stats["num_documents"] + stats["num_duplicates"] + sum(stats["dropped"].values())
    require(accounted == stats["num_records"], "Records were lost without a reason")
    return dict(corpus)


def _show_examples(stage: _Stage, corpus: dict[str, Any]) -> None:
    screen = stage.screen
    screen.title("4  What a model will be asked: words taken out of real sentences")
    for objective, seed in (("masked", 1), ("causal", 2)):
        answer = stage.client.post(
            f"/v1/corpora/{corpus['id']}/examples",
            {"objective": objective, "limit": 2, "seed": seed, "context_length": _EXAMPLE_TOKENS},
        )
        for example in answer["data"]:
            for piece in example["removed"]:
                right = example["text"][piece["start"] : piece["end"]] == piece["text"]
                require(right, f"{piece} is not what stands there in {example['text']!r}")
            removed = ", ".join(repr(piece["text"].strip()) for piece in example["removed"])
            screen.say(f"{objective}: {' '.join(example['blanked'].split())}", style="italic")
            screen.say(f"        removed: {removed}")


def _train_encoder(stage: _Stage, corpus: dict[str, Any]) -> None:
    client, screen = stage.client, stage.screen
    screen.title("5  An encoder learns to fill blanks")
    request = {
        "name": "fills-blanks",
        "corpus": corpus["id"],
        "model": "tiny",
        "objective": "masked",
        "budget": ENCODER_BUDGET,
        "evaluation": {"blanks": BLANKS},
        "metadata": {"by": "demo"},
    }
    job = training.train(client, screen, request)
    folder = stage.directory / "encoder"
    num_files = checkpoints.download_archive(client, job["latest_checkpoint"], folder)
    screen.good(f"downloaded as an archive; the sha256 of all {num_files} files is right")
    client.download(f"/v1/jobs/{job['id']}/loss.svg", stage.directory / "encoder-loss.svg")

    models.prepare()
    for sentence, guesses in models.fill(folder, BLANKS):
        screen.good(f"transformers fills: {sentence}   ({', '.join(guesses)})")
    top_5 = training.improvement(client, job["id"], _TOP_5)
    baseline = training.last_value(client, job["id"], _BASELINE)
    screen.say(
        f"the removed word is among five guesses: {top_5.first:.1%} at the first evaluation, "
        f"{top_5.last:.1%} at the last; always guessing the five most frequent: {baseline:.1%}"
    )
    require(
        top_5.last >= baseline + LEAST_GAIN and top_5.last > top_5.first,
        f"The encoder has not learned enough: {top_5.last:.1%} is not {LEAST_GAIN:.0%} above the "
        f"baseline's {baseline:.1%} and above the first evaluation's {top_5.first:.1%}",
    )
    screen.good(f"learned: {top_5.last / baseline:.1f} times as good as the baseline")


def _train_decoder(stage: _Stage, corpus: dict[str, Any]) -> None:
    client, screen = stage.client, stage.screen
    screen.title("6  A decoder learns the next word")
    request = {
        "name": "writes-on",
        "corpus": corpus["id"],
        "model": "tiny",
        "objective": "causal",
        "budget": DECODER_BUDGET,
        "evaluation": {"prompts": PROMPTS},
        "metadata": {"by": "demo"},
    }
    job = training.train(client, screen, request)
    folder = stage.directory / "decoder"
    num_files = checkpoints.download_files(client, job["latest_checkpoint"], folder)
    screen.good(f"downloaded file by file; the sha256 of all {num_files} files is right")
    client.download(f"/v1/jobs/{job['id']}/loss.svg", stage.directory / "decoder-loss.svg")

    for prompt in PROMPTS:
        text = " ".join(models.continue_text(folder, prompt).split())
        screen.good(f"transformers goes on: {text}")
    bits = training.improvement(client, job["id"], _BITS_PER_BYTE)
    screen.say(
        f"bits to write down a byte of held-out text: {bits.first:.2f} at the first evaluation, "
        f"{bits.last:.2f} at the last"
    )
    require(bits.last < bits.first, "The decoder has not learned")
    screen.good("learned: held-out text surprises it less than before")


def _say_what_next(screen: Screen, directory: Path, *, seconds: float) -> None:
    screen.title(f"Done in {seconds / 60:.1f} minutes; everything is in {directory}")
    screen.numbers({
        "encoder/": "the model that fills blanks, for transformers' AutoModelForMaskedLM",
        "decoder/": "the model that writes on, for transformers' AutoModelForCausalLM",
        "*-loss.svg": "how they learned; open them in a browser",
        "service/": "the service's data: files, corpus, jobs and checkpoints",
        "service.log": "what the service said",
    })  # fmt: skip
    screen.say("")
    screen.say("What to try next:")
    screen.say(f"  pretrainer up --data-dir {directory / 'service'}")
    screen.say("  then, with a text of your own:")
    screen.say("  curl -F file=@book.txt http://127.0.0.1:8000/v1/corpora")
    screen.say("  and http://127.0.0.1:8000/docs for the rest")
