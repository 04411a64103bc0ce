"""The ranks of a job: processes of one host that train one model together, each on its own device.

Every rank makes and computes its share of a step's sequences. The gradients are added up, so that
all ranks take the same step, and weights never travel. What only one can know (the clock, a wish
to stop, how good the model has become) rank 0 finds out, and the others hear it from there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, ParamSpec, Protocol, TypeVar, cast

import torch
from torch import Tensor

from core.errors import InvalidRequest, RankLost

_BUCKET_BYTES: Final = 2**26
"""Of gradients that travel together: large enough that starting a transfer costs nothing beside
it, small enough that their copy is nothing beside the model."""
_LONGEST_WAIT: Final = timedelta(days=1)
"""Rank 0 may look at held-out text for an hour; a rank that has died is noticed at once."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Ranks(Protocol):
    """The ranks of a job, as one of them sees them.

    All of them must call the same methods in the same order, from the thread that trains.
    """

    @property
    def rank(self) -> int:
        """The number of this one, from 0."""
        ...

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Make each tensor the sum, over all ranks, of those that stand in its place.

        The sum has the same bits on every rank, and the same ones every time.

        Raises:
            RankLost: another rank has ended.
        """
        ...

    def total(self, count: int) -> int:
        """The sum of a number that each rank has.

        Raises:
            RankLost: another rank has ended.
        """
        ...

    def meet(self) -> None:
        """Wait until all have come as far.

        Raises:
            RankLost: another rank has ended.
        """
        ...

    def of_first(self, ask: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What rank 0 answers; no other rank is asked, and each hears it.

        Raises:
            RankLost: another rank has ended.
        """
        ...

    def of_all(self, value: _T) -> list[_T]:
        """What every rank says, in their order.

        Raises:
            RankLost: another rank has ended.
        """
        ...


class Alone:
    """A job of one process: nobody to ask, nothing to add."""

    rank = 0
    size = 1

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Nothing: they are the sums."""

    def total(self, count: int) -> int:
        """The number itself."""
        return count

    def meet(self) -> None:
        """Nothing: nobody else is on the way."""

    def of_first(self, ask: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The answer."""
        return ask(*args, **kwargs)

    def of_all(self, value: _T) -> list[_T]:
        """The value alone."""
        return [value]


ALONE: Final = Alone()


class RankGroup:
    """Ranks that have met: over NCCL between GPUs, over gloo between CPUs, on the loopback."""

    def __init__(self, *, rank: int, size: int) -> None:
        """The process group of ``torch.distributed`` exists; see :func:`joined`."""
        self.rank = rank
        self.size = size

    @torch.no_grad()
    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """See :meth:`Ranks.add_up`."""
        for bucket in buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            with _all_there():
                torch.distributed.all_reduce(flat)
            parts = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def total(self, count: int) -> int:
        """See :meth:`Ranks.total`."""
        sum_ = torch.tensor(count)
        with _all_there():
            torch.distributed.all_reduce(sum_)
        return int(sum_)

    def meet(self) -> None:
        """See :meth:`Ranks.meet`."""
        with _all_there():
            torch.distributed.barrier()

    def of_first(self, ask: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """See :meth:`Ranks.of_first`."""
        answers = [ask(*args, **kwargs) if self.rank == 0 else None]
        with _all_there():
            torch.distributed.broadcast_object_list(answers, src=0)
        return cast("_T", answers[0])

    def of_all(self, value: _T) -> list[_T]:
        """See :meth:`Ranks.of_all`."""
        values: list[_T] = [value] * self.size
        with _all_there():
            torch.distributed.all_gather_object(values, value)
        return values


@contextmanager
def joined(*, rank: int, size: int, meeting: Path | None) -> Iterator[Ranks]:
    """Meet the other ranks, and part with them in the end.

    A rank that has nothing left to do waits there for the others, so that they all end well or
    none does.

    Args:
        rank: The number of this one; it takes the CUDA device of that number, where there are any.
        size: How many there are.
        meeting: A file that none has made yet, by which they find each other; None: ``torchrun``
            has said in the environment where they do.

    Raises:
        InvalidRequest: there are fewer devices than ranks.
        RankLost: another rank has ended.
    """
    if size == 1:
        yield ALONE
        return
    has_cuda = torch.cuda.is_available()
    if has_cuda:
        _take_device(rank, size=size)
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nobody else on the network may listen
    store = None
    if meeting is not None:  # torch's stubs forget this class
        store = torch.distributed.FileStore(str(meeting), size)  # type: ignore[attr-defined]
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if has_cuda else "gloo",
        store=store,
        rank=rank,
        world_size=size,
        timeout=_LONGEST_WAIT,
    )
    ranks = RankGroup(rank=rank, size=size)
    yield ranks
    # not after an error: whoever waits for a rank that has gone would never leave
    ranks.meet()
    torch.distributed.destroy_process_group()


@contextmanager
def joined_by_torchrun() -> Iterator[Ranks]:
    """The ranks that ``torchrun`` started this process among; alone, if it did not.

    Raises:
        InvalidRequest: they are of several hosts, or there are fewer devices than ranks.
        RankLost: another rank has ended.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if int(os.environ.get("LOCAL_WORLD_SIZE", size)) != size:
        raise InvalidRequest(
            "The ranks of a job must be on one host; run torchrun with --nnodes=1.",
            param="resources.hosts",
        )
    rank = int(os.environ.get("RANK", "0"))
    with joined(rank=rank, size=size, meeting=None) as ranks:
        yield ranks


def _take_device(rank: int, *, size: int) -> None:
    num_devices = torch.cuda.device_count()
    if num_devices < size:
        raise InvalidRequest(
            f"The job wants {size} devices, and this host has {num_devices}.",
            param="resources.devices",
        )
    torch.cuda.set_device(rank)


@contextmanager
def _all_there() -> Iterator[None]:
    """Say clearly what it means when ranks do not reach each other."""
    try:
        yield
    except RuntimeError as error:
        raise RankLost(
            "Another rank of this job has ended, and none can go on without it."
        ) from error


def buckets(
    tensors: Sequence[Tensor], *, most_bytes: int = _BUCKET_BYTES
) -> Iterator[list[Tensor]]:
    """Neighbours of one type, as many as travel together; one that is too large travels alone."""
    bucket: list[Tensor] = []
    room = most_bytes
    for tensor in tensors:
        if bucket and (tensor.dtype != bucket[0].dtype or tensor.nbytes > room):
            yield bucket
            bucket, room = [], most_bytes
        bucket.append(tensor)
        room -= tensor.nbytes
    if bucket:
        yield bucket
