"""How a dataset is named: by its content, so that it is made once.

Apart from `corpora.shards` because the API names datasets and reads none: it stays free of numpy.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

DATASET_FORMAT: Final = 1


def dataset_digest(*, corpus_digest: str, tokenizer_sha256: str) -> str:
    """The name of the dataset that this tokenizer makes of this corpus: a sha256."""
    made_from = {
        "corpus_digest": corpus_digest,
        "format": DATASET_FORMAT,
        "tokenizer_sha256": tokenizer_sha256,
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
