"""One job: submitted, followed through its event stream, and measured when it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cli.demo.client import Client
from cli.demo.failure import DemoFailed, require
from cli.demo.screen import Bar, Screen

_SHOWN_CANDIDATES: Final = 4
_LONGEST_SHOWN: Final = 70
_LAST_EVENTS: Final = frozenset({"job.succeeded", "job.failed", "job.cancelled"})


@dataclass(frozen=True, slots=True)
class Improvement:
    """A held-out metric at the first and at the last evaluation."""

    first: float
    last: float


def train(client: Client, screen: Screen, request: Mapping[str, Any]) -> dict[str, Any]:
    """Submit a job and watch it to its end; returns the job.

    Raises:
        DemoFailed: it did not succeed.
    """
    job = client.post("/v1/jobs", request)
    screen.say(f"job {job['id']}")
    with screen.bar(f"training {request['name']}") as bar:
        for event in client.events(job["id"]):
            _show(event, screen=screen, bar=bar)
            if event["type"] in _LAST_EVENTS:
                break
    job = client.get(f"/v1/jobs/{job['id']}")
    if job["status"] != "succeeded":
        raise DemoFailed(f"The job is {job['status']}: {job['error'] or job['status_reason']}")
    return dict(job)


def improvement(client: Client, job_id: str, metric: str) -> Improvement:
    """What the evaluations measured.

    Raises:
        DemoFailed: there were fewer than two.
    """
    values = _values(client, job_id, metric)
    require(len(values) > 1, f"{metric} was measured {len(values)} times; two are needed")
    return Improvement(first=values[0], last=values[-1])


def last_value(client: Client, job_id: str, metric: str) -> float:
    """The newest value of a metric.

    Raises:
        DemoFailed: it was never measured.
    """
    values = _values(client, job_id, metric)
    require(bool(values), f"{metric} was never measured")
    return values[-1]


def _values(client: Client, job_id: str, metric: str) -> list[float]:
    points = client.get(f"/v1/jobs/{job_id}/metrics", name=metric)["data"]
    return [float(point["value"]) for point in points]


def _show(event: Mapping[str, Any], *, screen: Screen, bar: Bar) -> None:
    data = event["data"]
    if event["level"] != "info":
        screen.say(event["message"], style="yellow")
    if event["type"] == "job.progress":
        for probe in data.get("probes", ()):
            _show_probe(probe, screen=screen)
        fraction = data["step"] / data["num_steps"] if data["num_steps"] else 0.0
        bar.update(fraction, _note(data))
    elif event["type"] == "job.succeeded":
        bar.update(1.0, _note(data))


def _note(data: Mapping[str, Any]) -> str:
    metrics = data.get("metrics") or {}
    parts = [f"step {data['step']}"]
    if "train/loss" in metrics:
        parts.append(f"loss {metrics['train/loss']:.2f}")
    if data.get("tokens_per_second"):
        parts.append(f"{data['tokens_per_second']:,.0f} tokens/s")
    return ", ".join(parts)


def _show_probe(probe: Mapping[str, Any], *, screen: Screen) -> None:
    """What the model makes of the fixed sentences now."""
    step = f"step {probe['step']:>4}"
    for filling in probe["fillings"]:
        first_gap = filling["candidates"][0][:_SHOWN_CANDIDATES]
        words = ", ".join(
            f"{candidate['text'].strip()} {candidate['probability']:.0%}" for candidate in first_gap
        )
        screen.say(f"{step}  {filling['blank']}  →  {words}")
    for continuation in probe["continuations"]:
        text = " ".join(continuation["text"].split())
        screen.say(f"{step}  {continuation['prompt']} … {text[:_LONGEST_SHOWN]}")
