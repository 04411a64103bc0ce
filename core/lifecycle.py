"""The states of jobs, attempts and resources, and how a process says why it ended."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class JobStatus(StrEnum):
    """Where a job stands. A wish to stop is a column (``desired_status``), not a status."""

    QUEUED = "queued"  # waits for a corpus, a tokenizer or a free worker
    RUNNING = "running"  # an attempt owns it
    PAUSED = "paused"  # saved and off the device until someone resumes it
    SUCCEEDED = "succeeded"  # reached its budget; final evaluation and checkpoint exist
    FAILED = "failed"  # will not be tried again; ``error`` says why
    CANCELLED = "cancelled"  # a user stopped it; its checkpoints stay

    @property
    def is_final(self) -> bool:
        """Whether a job in this status never changes again."""
        return self in {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}


class ResourceStatus(StrEnum):
    """Where a corpus or a tokenizer stands."""

    QUEUED = "queued"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class UploadStatus(StrEnum):
    """Where an upload in parts stands; only a pending one takes parts."""

    PENDING = "pending"
    COMPLETED = "completed"  # it has become a file
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # nobody completed it in time


class CheckpointStatus(StrEnum):
    """Whether a checkpoint can be used."""

    QUEUED = "queued"  # uploaded; waits to be checked
    PROCESSING = "processing"  # uploaded; is being checked
    FAILED = "failed"  # what was uploaded is no checkpoint; ``error`` says why
    COMPLETE = "complete"
    CORRUPT = "corrupt"  # its bytes no longer match its manifest
    DELETED = "deleted"  # pruned or deleted; the row stays for the history


class WorkKind(StrEnum):
    """What a piece of background work makes."""

    CORPUS = "corpus"
    TOKENIZER = "tokenizer"
    DATASET = "dataset"  # a corpus encoded by a tokenizer
    CHECKPOINT = "checkpoint"  # one made of uploaded files
    PIECE = "piece"  # a part of one of the above that any worker can do
    JOB = "job"


class PieceStage(StrEnum):
    """What the pieces of a corpus or a dataset are made by."""

    READ = "read"  # files become cleaned texts
    ENCODE = "encode"  # shards of documents become shards of tokens


class AttemptOutcome(StrEnum):
    """How one worker's try at a piece of work ended."""

    COMPLETED = "completed"
    FAILED = "failed"  # the child process said why
    CANCELLED = "cancelled"
    PAUSED = "paused"
    PREEMPTED = "preempted"  # the worker was asked to leave; not the work's fault
    ABANDONED = "abandoned"  # the owner vanished: killed, or cut off past its lease


class DesiredStatus(StrEnum):
    """What a user wants of work that has not ended."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class StopReason(StrEnum):
    """Why a child process stops at its next safe point: it is asked to, or sees no use in more."""

    CANCEL = "cancel"
    PAUSE = "pause"
    DRAIN = "drain"
    EARLY_STOPPING = "early_stopping"  # nobody asks for it: held-out text became no easier


class ExitCode(IntEnum):
    """How a child process tells its runner what happened (after sysexits.h where it fits)."""

    DONE = 0
    BAD_SPEC = 64  # the request cannot be carried out: fail at once
    BAD_DATA = 65  # the input cannot be used: fail at once
    OUT_OF_MEMORY = 70  # of the device: half the micro-batch may fit
    DEVICE_FAULT = 71  # another device may work
    DIVERGED = 72  # NaN or a loss that exploded
    DISK_FULL = 73
    DRAINED = 75  # saved and left on request
    INTERNAL = 1  # our bug, or what nobody foresaw


FATAL_EXIT_CODES = frozenset({ExitCode.BAD_SPEC, ExitCode.BAD_DATA})
"""Trying again cannot help: the work fails at once."""
