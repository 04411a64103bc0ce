"""Whether a model fits the device at all, found out before a byte of it is made.

What a device lacks for activations shows in the dry run, and smaller micro-batches help. Weights,
gradients and the optimizer's moments are needed whole, whatever is done; a host that is asked for
more than it has does not refuse, it stops answering and then kills a process of its choice.
"""

from __future__ import annotations

from typing import Final

import torch

from core.errors import InvalidRequest
from core.sizing import num_parameters
from core.spec import JobSpec, OptimizerName
from training.execution import Execution
from training.host import host_memory

_FP32_EACH: Final[dict[OptimizerName, int]] = {"muon": 3, "adamw": 4}
"""A weight, its gradient and its moments. Muon's has one; AdamW's part of it is left out, so that
this stays below what is needed."""
_BYTES: Final = 4


def require_memory(spec: JobSpec, *, execution: Execution) -> None:
    """See that the device can hold what training keeps of a model.

    Args:
        spec: The job's.
        execution: Its device, and how many ranks share a host.

    Raises:
        InvalidRequest: it cannot (``out_of_memory``).
    """
    needed = num_parameters(spec.model) * _FP32_EACH[spec.optimizer.name] * _BYTES
    if execution.device == "cuda":
        has = torch.cuda.get_device_properties(0).total_memory
        whose = "this GPU"
    else:
        has = host_memory() // execution.ranks
        whose = "this machine" if execution.ranks == 1 else "this machine, for each rank,"
    if needed > has:
        raise InvalidRequest(
            f"A model of {num_parameters(spec.model):,} parameters needs {needed / 2**30:.1f} GiB "
            f"for its weights, gradients and optimizer alone, and {whose} has "
            f"{has / 2**30:.1f} GiB. Ask for fewer layers or a smaller width.",
            code="out_of_memory",
            param="model",
        )
