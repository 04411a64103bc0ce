"""``python -m corpora.tokenizer_process DESCRIPTOR``: an uploaded tokenizer, checked and rebuilt.

A limited child of ``corpora.tokenizer_upload``. It answers a frame of JSON, either
``{"algorithm", "vocab_size", "former_ids"}`` and then the rebuilt `tokenizer.json`, or
``{"error": {...}}``.
"""

from __future__ import annotations

import json
import os
import sys

from core.errors import BadData
from corpora.sandbox import Confinement


def main() -> None:
    """Answer what has become of the file."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # threads take address space of their own
    confinement = Confinement()
    # within the limits
    from corpora.tokenizer import load_tokenizer  # noqa: PLC0415
    from corpora.tokenizer_rebuilding import former_ids, rebuild  # noqa: PLC0415

    with os.fdopen(int(sys.argv[1]), "rb") as file:
        data = file.read()
    try:
        tokenizer_json, algorithm = rebuild(data)
    except BadData as error:
        told = {"message": error.message, "code": error.error_code, "param": error.param}
        confinement.send(json.dumps({"error": told}).encode())
        return
    vocab_size = load_tokenizer(tokenizer_json).get_vocab_size(with_added_tokens=True)
    answer = {
        "algorithm": algorithm,
        "vocab_size": vocab_size,
        "former_ids": former_ids(data),
    }
    confinement.send(json.dumps(answer).encode())
    confinement.send(tokenizer_json)


if __name__ == "__main__":
    main()
