"""Somebody else holds the lock of the database."""

import sqlite3
from contextlib import closing, contextmanager


@contextmanager
def locked(path):
    """Hold the lock of a writer, as a forgotten transaction in somebody's shell does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")
