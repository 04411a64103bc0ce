"""A process that claims whatever it gets: ``python claimer.py URL OWNER`` prints ids of work.

It says that it is ready, and claims once when told so, then the rest when told again, that several
may begin together and none ends before another has begun.
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
    claim(database, owner)
    sys.stdin.readline()
    while claim(database, owner):
        pass
    database.close()


def claim(database: Database, owner: str) -> bool:
    """Claim and print one; whether there was one."""
    with database.unit_of_work(None, write=True) as uow:
        claimed = uow.work.claim(["train.1"], owner=owner, lease_seconds=600)
        uow.commit()
    if claimed is not None:
        print(claimed.id, claimed.fence, flush=True)  # noqa: T201
    return claimed is not None


if __name__ == "__main__":
    main(*sys.argv[1:])
