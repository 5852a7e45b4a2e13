import signal

import pytest
from hypothesis import settings

# What a shell sends to the background is deaf to Ctrl-C, and so would be the servers of the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that is shared may sleep for longer than any example takes.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


@pytest.fixture
def path(tmp_path):
    """Where a buffer may be."""
    return tmp_path / "drift.db"
