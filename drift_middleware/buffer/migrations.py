"""The tables of the SQLite buffer, and how older ones become newer ones."""

from __future__ import annotations

from sqlite_utils import Database, Migrations  # noqa: TID253  # loaded by the opening alone

MIGRATIONS = Migrations("drift_middleware")


@MIGRATIONS()
def create_tables(db: Database) -> None:
    """Create the tables of version 0.1."""
    db.table("rows").create({"id": int, "at": float}, pk="id")
    db.table("columns").create({"name": str, "stored_as": str}, pk="name")
    db.table("tallies").create(
        {"id": int, "segment": str, "slice": int, "requests": int, "rows": int, "counts": bytes},
        pk="id",
    )
    db.table("checks").create(
        {
            "number": int,
            "at": str,
            "requests": int,
            "rows": int,
            "last_row": int,
            "milliseconds": float,
            "severity": str,
            "data": str,
            "prediction": str,
            "moved": str,
            "segments": str,
            "fingerprint": str,
            "counts": bytes,
            "signals": str,
            "slices": bytes,
        },
        pk="number",
    )
    db.table("baselines").create(
        {"fingerprint": str, "source": str, "document": str}, pk="fingerprint"
    )
    db.table("state").create({"key": str, "value": bytes}, pk="key")
    db.table("counters").create({"name": str, "value": int}, pk="name")
    db.table("alerts").create(
        {
            "id": int,
            "at": float,
            "number": int,
            "kind": str,
            "target": str,
            "payload": str,
            "attempts": int,
            "next_at": float,
            "outcome": str,
            "error": str,
        },
        pk="id",
    )
