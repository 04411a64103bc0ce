"""``python -m training.folder_process``: an uploaded folder's descriptions, read and compared.

A limited child of ``training.importing``: what strangers wrote as JSON is parsed here and nowhere
else. It is given frames, a line of JSON ``{"has_index", "weights": {name: bytes}}`` first, then the
config, the index and the header of each file in that order, and answers one frame of JSON: the
plan, or ``{"error": {...}}``.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from core.errors import BadData
from corpora.sandbox import Confinement


def main() -> None:
    """Answer what the folder holds."""
    confinement = Confinement()
    from models.folder import WeightsFile, plan_folder  # noqa: PLC0415 - within the limits

    told = json.loads(confinement.receive() or b"{}")
    config = confinement.receive() or b""
    index = confinement.receive() if told["has_index"] else None
    weights = {
        name: WeightsFile(header=confinement.receive() or b"", num_bytes=num_bytes)
        for name, num_bytes in told["weights"].items()
    }
    answer: dict[str, Any]
    try:
        plan = plan_folder(config=config, index=index, weights=weights)
    except BadData as error:
        answer = {"error": {"message": error.message, "code": error.error_code}}
    else:
        answer = {
            "shape": plan.shape.model_dump(mode="json"),
            "token_ids": dict(plan.token_ids),
            "tensors": {
                name: {"file": file, **asdict(tensor)}
                for name, (file, tensor) in plan.tensors.items()
            },
        }
    confinement.send(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
