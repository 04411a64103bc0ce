"""The `pretrainer` command: reads its arguments, loads what they need, and nothing else."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Callable, Sequence

from pydantic import ValidationError

from cli.console import complain
from cli.parser import make_parser
from core.errors import PretrainerError
from core.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options)
    except ValidationError as error:
        for wrong in error.errors():
            name = "_".join(str(part) for part in wrong["loc"]).upper()
            complain(f"PRETRAINER_{name}: {wrong['msg']}")
        return 2
    except PretrainerError as error:
        complain(error.message)
        return 2
    except KeyboardInterrupt:
        return 130


def _version(options: argparse.Namespace) -> int:
    del options
    print(f"pretrainer {importlib.metadata.version('pretrainer')}")
    return 0


def _demo(options: argparse.Namespace) -> int:
    from cli.demo.run import demo

    return demo(directory=options.directory)


def _up(options: argparse.Namespace) -> int:
    from cli.up import up

    return up(_settings(options))


def _corpus(options: argparse.Namespace) -> int:
    from cli.corpus import make_corpus

    names = ("name", "clean", "deduplicate", "text_field", "extends")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    return make_corpus(options.paths, url=options.url.rstrip("/"), options=given)


def _migrate(options: argparse.Namespace) -> int:
    from cli.migrate import migrate

    return migrate(_settings(options))


def _api(options: argparse.Namespace) -> int:
    from cli.serve import serve_api

    serve_api(_settings(options))


def _worker(options: argparse.Namespace) -> int:
    from cli.serve import serve_worker

    serve_worker(_settings(options), queues=options.queues, concurrency=options.concurrency)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "version": _version,
    "demo": _demo,
    "up": _up,
    "corpus": _corpus,
    "migrate": _migrate,
    "api": _api,
    "worker": _worker,
}
"""Each loads what it needs when it runs: help is quick, and the parent of `up` stays small."""


def _settings(options: argparse.Namespace) -> Settings:
    """What was given on the command line; the rest follows the environment and the defaults."""
    names = ("data_dir", "host", "port")
    return Settings(
        **{name: value for name in names if (value := getattr(options, name, None)) is not None}
    )


if __name__ == "__main__":
    sys.exit(main())
