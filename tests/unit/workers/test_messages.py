from __future__ import annotations

import math

import pytest

from core.lifecycle import StopReason
from training.ports import Candidate, Continuation, Filling, Plan
from workers.messages import (
    Assign,
    CheckpointSaved,
    Done,
    Failed,
    Measured,
    Message,
    Noticed,
    PhaseChanged,
    Planned,
    Probed,
    Progressed,
    Stop,
    decode,
    decode_order,
    encode,
)

PLAN = Plan(
    num_steps=None,
    num_parameters=10,
    tokens_per_step=128,
    flops_per_token=60,
    execution={"device": "cpu"},
)


@pytest.mark.parametrize(
    "message",
    [
        Planned(plan=PLAN),
        PhaseChanged(phase="saving"),
        Measured(step=1, tokens=128, values={"train/loss": 2.5}),
        Probed(
            step=4,
            continuations=[Continuation(prompt="a\nb", text="\N{SNOWMAN}")],
            fillings=[Filling("____", "cat", [[Candidate("cat", 0.5)]])],
        ),
        CheckpointSaved(path="/x", step=4, tokens=512, metrics={}),
        Noticed(code="slow", message="slow", data={"a": [1, None]}),
        Progressed(stage="reading", fraction=0.5),
        Done(result={"dataset": {"digest": "d"}}),
        Failed(code="bad_data", message="no", param="files"),
    ],
    ids=lambda message: message.type,
)
def test_message_survives_the_pipe(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert encode(decode(line)) == line


def test_loss_that_is_no_number_survives_the_pipe() -> None:
    values = {"train/loss": math.nan, "optimizer/gradient_norm": math.inf}
    message = decode(encode(Measured(step=1, tokens=1, values=values)))
    assert isinstance(message, Measured)
    assert math.isnan(message.values["train/loss"])
    assert message.values["optimizer/gradient_norm"] == math.inf


@pytest.mark.parametrize(
    "line", [b"", b"Epoch 1/3\n", b'{"type":"unknown"}\n', b'{"type":"phase"}']
)
def test_line_that_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        decode(line)


def test_stop_order_survives_the_pipe() -> None:
    assert decode_order(encode(Stop(reason=StopReason.PAUSE))) == Stop(reason=StopReason.PAUSE)


def test_next_task_survives_the_pipe() -> None:
    order = Assign(task={"make": "tokenizer", "vocab_size": None})
    assert decode_order(encode(order)) == order
