from __future__ import annotations

import numpy as np

from corpora.removers.spliced import Source


def test_runs_of_text_specials_and_filling_come_in_the_order_asked_for() -> None:
    source = Source.of(np.array([100, 101, 102, 103]), filler=8, num_fillers=3)
    starts = np.array([2, source.specials + 7, 0, 1, source.filling])
    lengths = np.array([2, 1, 1, 0, 3])
    assert source.spliced(starts, lengths).tolist() == [102, 103, 7, 100, 8, 8, 8]
