"""A server that is asked to end writes what is queued."""

import pytest

from tests.faults.load import send
from tests.faults.serving import UVICORN, serving

NUMBERS = [float(number) for number in range(500)]
GUNICORN = "-m gunicorn app:app -b 127.0.0.1:{port} -w 2 -k uvicorn_worker.UvicornWorker"
# Who waits for a minute before it writes shows that the end did not wait for that.
PATIENT = """
from drift_middleware import pacing

pacing.GATHER_SECONDS = 60.0

from app import app
"""
SERVERS = {
    "uvicorn": UVICORN,
    "uvicorn, two workers": f"{UVICORN} --workers 2",
    "gunicorn": GUNICORN,
    "hypercorn": "-m hypercorn app:app -b 127.0.0.1:{port} -w 1",
}


@pytest.mark.parametrize("name", SERVERS)
def test_sigterm_flushes_what_is_queued(name, tmp_path, record_property):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "patient.py").write_text(PATIENT)
    with serving(folder, SERVERS[name].replace("app:app", "patient:app")) as server:
        send(server.port, NUMBERS)
        assert server.query("SELECT count(*) FROM rows")[0][0] < len(NUMBERS)
        server.terminate()
        assert server.query("SELECT count(*) FROM rows") == [(len(NUMBERS),)], server.log()
        assert server.query("SELECT count(*), sum(requests) FROM checks") == [(5, len(NUMBERS))]
        assert server.query("PRAGMA integrity_check") == [("ok",)]
    record_property("figures", f"{len(NUMBERS)} answered, {len(NUMBERS)} written, none lost")
