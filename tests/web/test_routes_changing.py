"""The routes that change something: who may, and what then is."""

import re

import numpy as np
import pytest
from starlette.testclient import TestClient

from drift_middleware.errors import BaselineError, ConfigError, StoreError
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import Report
from drift_middleware.web import Routes

TOKEN = "s3cret"  # noqa: S105  # of these tests alone
CHANGES = ("check", "reset", "baseline")
IS_OFF = (
    "Changing is off: set the option `token` (or DRIFT_TOKEN), and send it in the header "
    "`Authorization: Bearer <token>`."
)


class Noted:
    """A source that notes what it was asked."""

    def __init__(self, failure=None):
        self.asked = []
        self.failure = failure

    def drain(self, timeout=5.0):
        return True

    def report(self, **asked):
        return Report(version="1")

    def check(self):
        return self._note("check")

    def reset(self):
        return self._note("reset")

    def adopt(self, rows=None):
        return self._note("baseline", rows)

    def _note(self, *asked):
        if self.failure:
            raise self.failure
        self.asked.append(asked)
        return self.report()


def client_of(source, token=TOKEN, given=TOKEN):
    headers = {} if given is None else {"authorization": f"Bearer {given}"}
    return TestClient(Routes(source, route="/_drift", token=token), headers=headers)


@pytest.mark.parametrize("change", CHANGES)
def test_without_a_token_in_the_options_changing_is_off_and_the_answer_says_how_to_turn_it_on(
    change,
):
    source = Noted()
    answer = client_of(source, token=None).post(f"/_drift/{change}")
    assert (answer.status_code, answer.json()) == (403, {"error": IS_OFF})
    assert source.asked == []


@pytest.mark.parametrize("given", [None, "", "s3cre", "s3cret!", "S3CRET"])
@pytest.mark.parametrize("change", CHANGES)
def test_with_another_token_nothing_is_changed(change, given):
    source = Noted()
    answer = client_of(source, given=given).post(f"/_drift/{change}")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert source.asked == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_page_of_another_site_can_change_nothing(change):
    # What a browser lets such a page send without asking: cookies, a form, a token in the address.
    source = Noted()
    client = client_of(source, given=None)
    client.cookies.set("token", TOKEN)
    form = {"content-type": "application/x-www-form-urlencoded", "origin": "https://evil.example"}
    sent = client.post(
        f"/_drift/{change}?token={TOKEN}&access_token={TOKEN}",
        content=f"token={TOKEN}",
        headers=form,
    )
    assert sent.status_code == 401
    # And when the page asks whether it may send the header.
    asking = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    asked = client.options(f"/_drift/{change}", headers=asking)
    assert not asked.is_success
    allowing = [name for name in asked.headers if name.startswith("access-control-")]
    assert allowing == [name for name in sent.headers if name.startswith("access-control-")] == []
    assert source.asked == []


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("change", CHANGES)
def test_only_post_changes_anything(change, method, token):
    source = Noted()
    answer = client_of(source, token=token).request(method, f"/_drift/{change}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        assert answer.json() == {"error": "Only POST is allowed here."}
    assert source.asked == []


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("check", ("check",)),
        ("check/", ("check",)),
        ("reset", ("reset",)),
        ("baseline", ("baseline", None)),
        ("baseline?rows=500", ("baseline", 500)),
        ("baseline?rows=", ("baseline", None)),
    ],
)
def test_what_was_asked_for_is_done_once_and_the_report_is_the_answer(path, asked):
    source = Noted()
    answer = client_of(source).post(f"/_drift/{path}")
    assert source.asked == [asked]
    assert answer.status_code == 200
    assert list(answer.json()) == list(Report.__struct_fields__)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("rows", ["-1", "1.5", "many", "9" * 16, "0x1"])
def test_an_impossible_number_of_rows_is_refused(rows):
    source = Noted()
    answer = client_of(source).post(f"/_drift/baseline?rows={rows}")
    message = f"rows={rows!r} is impossible: give a whole number."
    assert (answer.status_code, answer.json()) == (400, {"error": message})
    assert source.asked == []


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("failure", "status", "message"),
    [
        (ConfigError("rows=1 is impossible."), 400, "rows=1 is impossible."),
        (BaselineError("There is no baseline yet."), 409, "There is no baseline yet."),
        (StoreError("drift.db cannot be written."), 503, "drift.db cannot be written."),
        (ZeroDivisionError("of ours"), 500, "Unexpected ZeroDivisionError: the server's log has "),
    ],
)
def test_what_fails_is_said_in_one_sentence_and_never_raised(
    change, failure, status, message, caplog
):
    answer = client_of(Noted(failure)).post(f"/_drift/{change}")
    assert answer.status_code == status
    assert answer.json()["error"].startswith(message)
    logged = [one for one in caplog.records if one.levelname == "ERROR"]
    assert len(logged) == (status == 500)


@pytest.fixture
def watched(tmp_path):
    rng = np.random.default_rng(0)
    columns = {"age": rng.normal(size=400).tolist(), "score": rng.random(400).tolist()}
    one = Monitor(baseline=columns, buffer=tmp_path / "drift.db", check_every=500)
    yield one
    one.close()


def record(one, rows, shift=0.0):
    rng = np.random.default_rng(1)
    for _ in range(rows):
        one.record({"age": float(rng.normal(shift))}, {"score": float(rng.random())})


def test_a_check_counts_what_was_sent_before_it_was_asked_for(watched):
    record(watched, 30)
    report = client_of(watched).post("/_drift/check").json()
    assert (report["check"]["number"], report["check"]["rows"]) == (1, 30)
    again = client_of(watched).post("/_drift/check").json()
    assert again["check"] == report["check"]


def test_traffic_becomes_the_baseline(watched):
    record(watched, 300, shift=4)
    client = client_of(watched)
    assert client.post("/_drift/check").json()["severity"] == "high"
    report = client.post("/_drift/baseline?rows=250").json()
    assert (report["severity"], report["status"]) == ("unknown", "warming up")
    assert report["baseline"]["rows"] == 250
    source = report["baseline"]["source"]
    assert re.fullmatch(r"traffic, adopted at 20\d\d-\d\d-\d\dT[\d:.]+Z", source)
    record(watched, 300, shift=4)
    assert client.post("/_drift/check").json()["severity"] == "none"


def test_too_few_rows_are_refused_with_how_many_there_are(watched):
    record(watched, 30)
    client = client_of(watched)
    answer = client.post("/_drift/baseline")
    message = "30 rows are in the buffer, and 200 are needed."
    assert (answer.status_code, answer.json()) == (409, {"error": message})
    answer = client.post("/_drift/baseline?rows=20")
    message = "rows=20 is impossible: give 200 to 10,000."
    assert (answer.status_code, answer.json()) == (400, {"error": message})


def test_a_browser_gets_the_page(watched):
    record(watched, 30)
    answer = client_of(watched).post("/_drift/check", headers={"accept": "text/html"})
    assert answer.headers["content-type"].startswith("text/html")
    assert "<html" in answer.text
