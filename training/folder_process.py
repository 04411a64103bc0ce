"""``python -m training.folder_process``: an uploaded folder's descriptions, read and compared.

A limited child of ``training.importing``: what strangers wrote as JSON is parsed here and nowhere
else. It is given frames: ``{"has_index", "weights": {name: bytes}, "roles": [names]}`` as JSON,
then the config, the index, the header of each file and the files about roles, in that order. It
answers one frame of JSON: the plan, or ``{"error": {...}}``.
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
    from models.token_roles import read_roles  # noqa: PLC0415 - likewise

    told = json.loads(confinement.receive() or b"{}")
    config = confinement.receive() or b""
    index = confinement.receive() if told["has_index"] else None
    weights = {
        name: WeightsFile(header=confinement.receive() or b"", num_bytes=num_bytes)
        for name, num_bytes in told["weights"].items()
    }
    about_roles = {name: confinement.receive() or b"" for name in told["roles"]}
    answer: dict[str, Any]
    try:
        plan = plan_folder(config=config, index=index, weights=weights)
        roles = [read_roles(data, file=name) for name, data in about_roles.items()]
    except BadData as error:
        answer = {"error": {"message": error.message, "code": error.error_code}}
    else:
        answer = {
            "shape": plan.shape.model_dump(mode="json"),
            "token_ids": dict(plan.token_ids),
            "roles": {role: text for found in roles for role, text in found.items()},
            "tensors": {
                name: {"file": file, **asdict(tensor)}
                for name, (file, tensor) in plan.tensors.items()
            },
        }
    confinement.send(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
