"""The arguments of the `pretrainer` command, and its help.

argparse, because it is in the standard library: `--help` answers at once, and the parent of
`pretrainer up`, which lives long, loads nothing for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from core.errors import InvalidRequest
from core.queues import queues_of_worker

_DESCRIPTION = "Pre-training as a service: send text over HTTP, get a language model of your own."

_EPILOG = """\
start here:
  pretrainer demo      see it work, in a few minutes
  pretrainer up        run everything on this machine; then open http://127.0.0.1:8000/docs
  pretrainer corpus    send it a folder of your own

Every setting is an environment variable too: PRETRAINER_DATA_DIR, PRETRAINER_PORT, ...
In production the parts run by themselves (migrate, api, worker) and find each other through
PRETRAINER_DATABASE_URL, PRETRAINER_BROKER_URL and PRETRAINER_STORE_URL: see docker-compose.yml."""

_AddParser = Callable[..., argparse.ArgumentParser]


def make_parser() -> argparse.ArgumentParser:
    """The parser; ``command`` is the chosen command, the rest its options (None: not given)."""
    parser = argparse.ArgumentParser(
        prog="pretrainer",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="command", title="commands"
    )
    add = commands.add_parser
    _add_demo(add)
    _add_up(add)
    _add_corpus(add)
    _add_migrate(add)
    _add_api(add)
    _add_worker(add)
    add("version", help="say which version this is")
    return parser


def _add_demo(add: _AddParser) -> None:
    summary = "train two small models on this machine's own text, through the API alone"
    demo = add(
        "demo",
        help=summary,
        description=f"{summary.capitalize()}: starts a service of its own, uploads text that every "
        "machine has, trains an encoder and a decoder, downloads both, checks every digest and "
        "shows what they learned. Exit status 1 if anything is not as it should be.",
    )
    demo.add_argument(
        "--directory", type=Path, metavar="DIR", help="where to keep it all (default: a new one)"
    )


def _add_up(add: _AddParser) -> None:
    summary = "run the whole service on this machine"
    up = add(
        "up",
        help=summary,
        description=f"{summary.capitalize()}: the API, a private broker and the workers, with "
        "everything in one directory. Ctrl-C saves what is training and stops; started again, it "
        "goes on. Ctrl-C twice kills.",
    )
    _add_address(up)
    _add_data_dir(up)


def _add_corpus(add: _AddParser) -> None:
    summary = "make a corpus of files and folders, on a service that runs"
    corpus = add(
        "corpus",
        help=summary,
        description=f"{summary.capitalize()}: uploads them as they are (text, Markdown, JSON "
        "lines, CSV, Parquet, HTML, WARC, WET; bare, gz, zst, xz, zip or tar) and shows how far "
        "it is. Hidden files and links are left out.",
    )
    corpus.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="a file or a folder")
    corpus.add_argument(
        "--url",
        default="http://127.0.0.1:8000",
        help="of the service (default: http://127.0.0.1:8000)",
    )
    corpus.add_argument("--name", help="what to call the corpus")
    corpus.add_argument("--clean", metavar="PROFILE", help="none, light, web or code")
    corpus.add_argument("--deduplicate", metavar="METHOD", help="none, exact or near")
    corpus.add_argument(
        "--text-field", metavar="NAME", help="where the text of a JSON line or a table's row is"
    )
    corpus.add_argument(
        "--extends", metavar="CORPUS", help="the id of a corpus that these files are added to"
    )


def _add_migrate(add: _AddParser) -> None:
    summary = "bring the database's schema up to date"
    migrate = add(
        "migrate",
        help=summary,
        description=f"{summary.capitalize()}. Several may run at once: one of them does the work. "
        "An SQLite file is copied first.",
    )
    _add_data_dir(migrate)


def _add_api(add: _AddParser) -> None:
    summary = "run the HTTP API by itself"
    api = add("api", help=summary, description=f"{summary.capitalize()} (uvicorn).")
    _add_address(api)
    _add_data_dir(api)


def _add_worker(add: _AddParser) -> None:
    summary = "run a worker by itself"
    worker = add(
        "worker",
        help=summary,
        description=f"{summary.capitalize()} (Celery). SIGTERM makes it save what it does and end; "
        "another worker goes on from there.",
    )
    worker.add_argument(
        "--queues",
        type=_queues,
        required=True,
        metavar="NAMES",
        help="what to work on, separated by commas: corpus, train, or corpus,train",
    )
    worker.add_argument(
        "--concurrency",
        type=_positive,
        default=1,
        metavar="N",
        help="pieces of work at a time (default: 1; a training job takes a whole device)",
    )
    _add_data_dir(worker)


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port; 0 takes a free one (default: 8000)")


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="database, files, checkpoints and logs (default: ~/.local/share/pretrainer)",
    )


def _queues(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    try:
        queues_of_worker(names, num_devices=1)
    except InvalidRequest as error:
        raise argparse.ArgumentTypeError(error.message) from None
    return names


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)
