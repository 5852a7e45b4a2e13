import pytest


@pytest.fixture
def path(tmp_path):
    """Where a buffer may be."""
    return tmp_path / "drift.db"
