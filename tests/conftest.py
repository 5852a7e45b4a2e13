import pytest
from hypothesis import settings

# A machine that is shared may sleep for longer than any example takes.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


@pytest.fixture
def path(tmp_path):
    """Where a buffer may be."""
    return tmp_path / "drift.db"
