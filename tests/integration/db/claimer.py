"""A process that claims whatever it gets: ``python claimer.py URL OWNER`` prints ids of work.

It says that it is ready, and begins when told so, that several may begin together.
"""

from __future__ import annotations

import sys

from db.engine import Database


def main(url: str, owner: str) -> None:
    """Claim until nothing is left."""
    database = Database(url)
    database.check()
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    while True:
        with database.unit_of_work(None, write=True) as uow:
            claimed = uow.work.claim(["train.1"], owner=owner, lease_seconds=600)
            uow.commit()
        if claimed is None:
            break
        print(claimed.id, claimed.fence, flush=True)  # noqa: T201
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
