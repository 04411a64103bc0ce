"""What a runner and its child process say to each other: one JSON object a line.

The child writes to its standard output, the runner to the child's standard input. Pydantic checks
every line, so that a line which is not ours is noticed instead of half understood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from core.lifecycle import StopReason
from training.ports import Continuation, Filling, Phase, Plan


class Message(BaseModel):
    """One line. NaN and the infinities pass as such: a loss may be one."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Planned(Message):
    """The engine has built its model."""

    type: Literal["planned"] = "planned"
    plan: Plan


class PhaseChanged(Message):
    """The engine turned to something else."""

    type: Literal["phase"] = "phase"
    phase: Phase


class Measured(Message):
    """New values of metrics."""

    type: Literal["metrics"] = "metrics"
    step: int
    tokens: int
    values: Mapping[str, float]


class Probed(Message):
    """What the model said to the fixed prompts and blanks."""

    type: Literal["probed"] = "probed"
    step: int
    continuations: Sequence[Continuation]
    fillings: Sequence[Filling]


class CheckpointSaved(Message):
    """A checkpoint is whole on the child's disk."""

    type: Literal["checkpoint"] = "checkpoint"
    path: str
    step: int
    tokens: int
    metrics: Mapping[str, float]


class Noticed(Message):
    """Something that the user should know."""

    type: Literal["notice"] = "notice"
    code: str
    message: str
    data: Mapping[str, Any]


class Progressed(Message):
    """How far a task of a corpus process is."""

    type: Literal["progress"] = "progress"
    stage: str
    fraction: float = Field(description="0 to 1 over the whole task")
    files: int = 0
    records: int = 0


class Finished(Message):
    """A corpus process has done a task, and waits for the next."""

    type: Literal["finished"] = "finished"
    result: Mapping[str, Any]


class Done(Message):
    """The last line of a child that did what it was asked, or left early on request."""

    type: Literal["done"] = "done"
    result: Mapping[str, Any]


class Failed(Message):
    """The last line of a child that could not: why, as a user is told."""

    type: Literal["failed"] = "failed"
    code: str
    message: str
    param: str | None = None


FromChild = (
    Planned | PhaseChanged | Measured | Probed | CheckpointSaved | Noticed | Progressed | Finished
    | Done | Failed
)  # fmt: skip


class Stop(Message):
    """The runner's order to any child: stop at the next safe point."""

    type: Literal["stop"] = "stop"
    reason: StopReason


class Assign(Message):
    """The runner's order to a corpus process that has finished a task: do this as well."""

    type: Literal["assign"] = "assign"
    task: Mapping[str, Any]


_order: Final = TypeAdapter[Stop | Assign](Annotated[Stop | Assign, Field(discriminator="type")])
_from_child: Final = TypeAdapter[FromChild](Annotated[FromChild, Field(discriminator="type")])


def encode(message: Message) -> bytes:
    """The message as a line."""
    return message.model_dump_json().encode() + b"\n"


def decode(line: bytes) -> FromChild:
    """The message on a line that a child wrote.

    Raises:
        ValueError: the line is none of ours.
    """
    return _from_child.validate_json(line)


def decode_order(line: bytes) -> Stop | Assign:
    """The order on a line that the runner wrote.

    Raises:
        ValueError: the line is no order.
    """
    return _order.validate_json(line)
