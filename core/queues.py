"""Which queue a piece of work waits in, and which queues a worker listens to."""

from __future__ import annotations

from core.errors import InvalidRequest, did_you_mean
from core.lifecycle import WorkKind

CORPUS_QUEUE = "corpus"
_TRAIN = "train"


def queue_for(kind: WorkKind, *, devices: int = 1) -> str:
    """The queue of a piece of work: ``corpus``, or ``train.<devices>`` for a training job."""
    return f"{_TRAIN}.{devices}" if kind is WorkKind.JOB else CORPUS_QUEUE


def queues_of_worker(names: list[str], *, num_devices: int) -> list[str]:
    """Expand a worker's ``--queues``: ``train`` means ``train.1`` up to ``train.<num_devices>``.

    Raises:
        InvalidRequest: a name is not a queue.
    """
    queues: list[str] = []
    for name in names:
        if name == _TRAIN:
            queues += [f"{_TRAIN}.{count}" for count in range(1, max(1, num_devices) + 1)]
        elif name == CORPUS_QUEUE:
            queues.append(name)
        else:
            hint = did_you_mean(name, [CORPUS_QUEUE, _TRAIN])
            raise InvalidRequest(f"There is no queue {name!r}.{hint}", param="queues")
    return queues
