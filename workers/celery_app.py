"""The Celery application: ``python -m celery -A workers.celery_app worker --pool threads``.

Celery carries doorbells, nothing else (ADR-0001). Each setting below answers something that was
seen to go wrong.
"""

from __future__ import annotations

from typing import Final

from celery import Celery
from celery.signals import setup_logging

from core import log
from core.queues import CORPUS_QUEUE
from core.settings import Settings
from services.doorbell import TRANSPORT_OPTIONS

_DEFAULT_BROKER: Final = "redis://127.0.0.1:6379/0"


def make_app(settings: Settings) -> Celery:
    """An application for these settings; connects at the first use."""
    app = Celery("pretrainer", broker=settings.broker_url or _DEFAULT_BROKER)
    app.conf.update(
        imports=("workers.tasks",),
        # A message is a doorbell: the database knows what there is to do. Late acknowledgement
        # would deliver it again after `visibility_timeout`, while the first still runs, and would
        # repeat without limit what kills its worker.
        task_acks_late=False,
        task_ignore_result=True,
        result_backend=None,
        # With early acknowledgement a prefetched message waits behind a busy worker.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        task_default_queue=CORPUS_QUEUE,
        task_create_missing_queues=True,
        broker_transport_options=TRANSPORT_OPTIONS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A connection that broke says nothing about the runners.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        task_serializer="json",
        accept_content=["json"],
    )
    return app


def _log_like_every_process(**_: object) -> None:
    """Celery sets up no logging of its own where somebody listens to this signal."""
    settings = Settings()
    log.configure(level=settings.log_level, log_format=settings.log_format)


setup_logging.connect(_log_like_every_process)
app = make_app(Settings())
