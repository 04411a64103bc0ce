from __future__ import annotations

from pathlib import Path
from typing import Any

from workers.corpus_process import _carry_out, _Kept

QUOTED = "Which of these three rivers, the Rhine, the Danube or the Elbe, flows into the Black Sea?"


def test_pieces_of_one_corpus_read_its_evaluation_once(tmp_path: Path) -> None:
    def file(name: str, text: str) -> dict[str, str]:
        (tmp_path / name).write_text(text)
        return {"path": str(tmp_path / name), "filename": name, "sha256": "5" * 64, "id": name}

    kept = _Kept()
    task: dict[str, Any] = {
        "make": "piece",
        "files": [file("a.txt", "A text of its own."), file("b.txt", QUOTED)],
        "evaluation_file": file("evaluation", QUOTED),
        "options": {"clean": {"decontaminate": "evaluation"}},
        "directory": str(tmp_path / "made"),
    }
    for _ in range(2):
        made = _carry_out(task, lambda _: None, kept)
        assert (made["num_records"], made["num_documents"]) == (2, 1)
        (tmp_path / "evaluation").unlink(missing_ok=True)
