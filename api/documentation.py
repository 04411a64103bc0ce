"""What the OpenAPI document says beyond the types: failures, and bodies that are not JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from api.schemas.errors import ErrorBody

DESCRIPTION: Final = """\
Send text, get a language model of your own: the service removes words from real sentences and
trains a model to put them back.

A **file** becomes a **corpus**, a corpus and a **tokenizer** become a **job**, and a job leaves
**checkpoints** that load unchanged in `transformers`.

Every failure has the shape `{"error": {"message", "type", "code", "param", "details"}}`, and every
answer an `x-request-id`.
"""

TAGS: Final[list[dict[str, Any]]] = [
    {"name": "files", "description": "Bytes that you uploaded; they never change."},
    {"name": "uploads", "description": "Files that arrive in parts, and go on after a crash."},
    {"name": "corpora", "description": "Documents made from files: read, cleaned, split."},
    {"name": "tokenizers", "description": "Text to token ids and back."},
    {"name": "jobs", "description": "Requests for training, and how far each has come."},
    {"name": "checkpoints", "description": "Trained weights, and what resumes training."},
    {"name": "models", "description": "Checkpoints by name."},
    {"name": "events", "description": "What happened, in order, as a list or a live stream."},
    {"name": "service", "description": "Limits, health and queues."},
]

_MEANINGS: Final = {
    400: "The request cannot be read",
    403: "Not allowed",
    404: "There is no such object",
    409: "The object's state forbids it",
    412: "The bytes are not those that If-Match names",
    413: "More bytes than the limit",
    415: "Another content type is needed",
    416: "The range lies beyond the end",
    422: "A field is wrong; `param` names it",
    429: "More than the project may have",
    503: "A part of the service cannot be reached now",
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented failures of an endpoint, and those that every endpoint has."""
    documented: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody, "description": _MEANINGS[status]} for status in statuses
    }
    return {**documented, "default": {"model": ErrorBody, "description": "Any other failure"}}


def multipart_body(fields: Mapping[str, Any], *, file: str = "file") -> dict[str, Any]:
    """The documentation of a form with bytes, in the field ``file``, and text ``fields``."""
    properties = {
        **fields,
        file: {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "The bytes",
        },
    }
    schema = {"type": "object", "required": [file], "properties": properties}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


def corpus_body(body: type[BaseModel], form: type[BaseModel]) -> dict[str, Any]:
    """The documentation of a body that is JSON, or a form with the same fields and files."""
    described = multipart_body(_schema_of(form)["properties"])
    described["requestBody"]["content"]["application/json"] = {
        "schema": _schema_of(body),
        "examples": CORPUS_EXAMPLES,
    }
    return described


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON schema without references, which would point into a document of its own."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def unfolded(node: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(node, list):
            return [unfolded(item) for item in node]
        if not isinstance(node, dict):
            return node
        own = {key: unfolded(value) for key, value in node.items() if key != "$ref"}
        if "$ref" not in node:
            return own
        return {**unfolded(definitions[node["$ref"].removeprefix("#/$defs/")]), **own}

    return dict(unfolded(schema))


def raw_body() -> dict[str, Any]:
    """The documentation of a body that is the file itself."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    }


CORPUS_EXAMPLES: Final[dict[str, Any]] = {
    "smallest": {
        "summary": "Only files: every default",
        "value": {"files": ["file_01kb1s5p0v8m2f1c7w9xq4h3tz"]},
    },
    "web": {
        "summary": "Pages of the web: every quality rule, no near-duplicates",
        "value": {
            "name": "crawl-nl",
            "files": ["file_01kb1s5p0v8m2f1c7w9xq4h3tz"],
            "clean": "web",
            "deduplicate": "near",
        },
    },
    "longer": {
        "summary": "A corpus that grows: only the new file is read",
        "value": {
            "extends": "corpus_01kb1s5p0v8m2f1c7w9xq4h3tz",
            "files": ["file_01kb1s7a6rw0d3kq5n8v2xjm4c"],
        },
    },
    "tuned": {
        "summary": "Columns of tables, with addresses taken out and a test set kept out",
        "value": {
            "name": "tickets",
            "files": ["file_01kb1s5p0v8m2f1c7w9xq4h3tz"],
            "text_field": "body",
            "clean": {
                "profile": "light",
                "remove": ["email", "ip"],
                "decontaminate": "file_01kb1s7a6rw0d3kq5n8v2xjm4c",
            },
            "validation_fraction": 0.02,
            "metadata": {"team": "support"},
        },
    },
}

JOB_EXAMPLES: Final[dict[str, Any]] = {
    "smallest": {
        "summary": "Only a corpus: every default",
        "value": {"corpus": "corpus_01kb1s5p0v8m2f1c7w9xq4h3tz"},
    },
    "masked": {
        "summary": "Fill in the blank, as BERT does",
        "value": {
            "name": "legal-nl",
            "corpus": "corpus_01kb1s5p0v8m2f1c7w9xq4h3tz",
            "model": "tiny",
            "objective": "masked",
            "budget": {"tokens": "20M", "seconds": 3600},
            "evaluation": {"every_steps": 200, "blanks": ["I bought a ____ to play my music."]},
        },
    },
    "mixture": {
        "summary": "Two corpora, one seen three times as often; spans after plain text",
        "value": {
            "corpus": [
                {"corpus": "corpus_01kb1s5p0v8m2f1c7w9xq4h3tz", "weight": 3},
                {"corpus": "corpus_01kb1s6hq2m4c8d0n5r7t9w1yx", "weight": 1},
            ],
            "model": "tiny",
            "objective": {
                "stages": [
                    {"until": 0.8, "objective": "causal"},
                    {"objective": ["causal", {"objective": "span_corruption", "weight": 2}]},
                ]
            },
        },
    },
    "shape": {
        "summary": "A shape of your own, with AdamW",
        "value": {
            "corpus": "corpus_01kb1s5p0v8m2f1c7w9xq4h3tz",
            "model": {"layers": 6, "width": 384, "heads": 6, "context_length": 512},
            "optimizer": {"name": "adamw", "learning_rate": 0.001},
            "budget": {"epochs": 2},
            "seed": 7,
        },
    },
}
