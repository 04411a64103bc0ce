"""One table (and its parts) a file. Importing this package makes all of them known."""

from db.tables.attempts import Attempt
from db.tables.blobs import Blob
from db.tables.checkpoints import Checkpoint, CheckpointFile
from db.tables.corpora import Corpus, CorpusFile, CorpusPiece
from db.tables.datasets import Dataset
from db.tables.events import Event, EventLevel
from db.tables.files import File, FilePiece
from db.tables.jobs import Job, JobCorpus
from db.tables.leaders import Leader
from db.tables.metrics import Metric
from db.tables.owned import Identified, Owned, WithMetadata
from db.tables.pieces import Piece
from db.tables.probes import Probe
from db.tables.projects import DEFAULT_PROJECT_ID, Project
from db.tables.reservations import Reservation
from db.tables.tokenizers import Tokenizer
from db.tables.uploads import Upload, UploadPart
from db.tables.work import Work

__all__ = [
    "DEFAULT_PROJECT_ID",
    "Attempt",
    "Blob",
    "Checkpoint",
    "CheckpointFile",
    "Corpus",
    "CorpusFile",
    "CorpusPiece",
    "Dataset",
    "Event",
    "EventLevel",
    "File",
    "FilePiece",
    "Identified",
    "Job",
    "JobCorpus",
    "Leader",
    "Metric",
    "Owned",
    "Piece",
    "Probe",
    "Project",
    "Reservation",
    "Tokenizer",
    "Upload",
    "UploadPart",
    "WithMetadata",
    "Work",
]
