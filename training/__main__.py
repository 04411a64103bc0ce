"""``python -m training spec.json --dataset DIR... --out DIR [--resume DIR]``: the engine alone.

See ``training.command``, which takes seconds to import: Ctrl-C is to be heard before.
"""

from __future__ import annotations

import sys

from training.interruption import InterruptSignal

if __name__ == "__main__":
    stop = InterruptSignal()
    from training.command import main

    sys.exit(main(stop=stop))
