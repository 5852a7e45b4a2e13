"""Whom alerts go to, over real sockets: mail through apprise, a signed webhook, a function."""

import contextlib
import email
import email.policy
import logging
import queue
import re
import socket
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from aiosmtpd.controller import Controller

from drift_middleware.config import Config
from drift_middleware.errors import ConfigError
from drift_middleware.export import webhook
from drift_middleware.export.targets import open_targets
from drift_middleware.monitor import Monitor
from drift_middleware.schemas import Alert, AlertSignal, Check

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
NOW = 1_800_000_000.5
HOSTILE = '<script>alert("1")</script> & [a](http://x) @everyone'
# Apprise imports it before Python 3.13.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")
NOBODY = {"alerts": (), "webhook": None, "webhook_secret": None, "on_change": None}


def alert(name="temp"):
    check = Check(number=20, at="2026-11-24T17:37:18Z", requests=9, rows=9, moved={name: "high"})
    signals = [AlertSignal(name, "high", 0.8, 0.7, f"95 % of rows are {name!r}")]
    return Alert(
        id="an-id", kind="change", severity="high", previous="none", signals=signals, check=check
    )


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Mailbox:
    def __init__(self):
        self.mails = queue.Queue()
        self.answer = "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  # as aiosmtpd calls it
        self.mails.put(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return self.answer


@pytest.fixture
def mailbox():
    one = Mailbox()
    controller = Controller(one, hostname="127.0.0.1", port=free_port())
    controller.start()
    one.url = f"mailto://127.0.0.1:{controller.port}?from=drift@example.com&to=ops@example.com&format=html"
    yield one
    controller.stop()


def open_one(**options):
    ((name, target),) = open_targets(**NOBODY | options).items()
    return name, target


def test_a_mail_has_the_line_for_its_subject_and_names_as_text(mailbox):
    name, send = open_one(alerts=(mailbox.url,))
    assert name == "alerts[0]"
    assert send(alert(HOSTILE), NOW) is None
    mail = mailbox.mails.get(timeout=60)
    assert mail["subject"] == f"Drift none to high: {HOSTILE} (check 20, /_drift)"
    assert mail["to"] == "ops@example.com"
    (html,) = [part for part in mail.walk() if part.get_content_type() == "text/html"]
    assert "<script>" not in html.get_content()
    assert "&lt;script&gt;" in html.get_content()
    assert "<a " not in html.get_content()


def test_a_mail_server_that_refuses_is_told_without_the_url(mailbox, caplog):
    caplog.set_level(logging.DEBUG)
    mailbox.answer = "554 no"
    url = mailbox.url.replace("mailto://", "mailto://robot:PA55WORD@").replace(
        "?", "?smtp=127.0.0.1&"
    )
    _, send = open_one(alerts=(url,))
    reason = send(alert(), NOW)
    assert reason
    for secret in ("PA55WORD", "ops@example.com"):
        assert secret not in reason
        assert secret not in caplog.text


def test_a_mail_server_that_is_not_there_is_told(caplog):
    caplog.set_level(logging.DEBUG)
    _, send = open_one(
        alerts=(f"mailto://u:PA55WORD@127.0.0.1:{free_port()}?from=b@example.com&to=a@example.com",)
    )
    assert send(alert(), NOW)
    assert "PA55WORD" not in caplog.text


def test_what_other_threads_and_other_users_of_apprise_log_is_left_alone(caplog):
    caplog.set_level(logging.DEBUG)
    open_one(alerts=("json://127.0.0.1/x",))
    logging.getLogger("apprise").warning("mine")
    assert "mine" in caplog.text
    assert logging.getLogger("apprise").filters == []


@pytest.mark.parametrize(
    ("code", "reason"), [(200, None), (500, "Internal Server Error"), (404, "not found")]
)
def test_a_service_of_apprise_is_reached_and_its_refusal_is_told(receiver, caplog, code, reason):
    caplog.set_level(logging.DEBUG)
    receiver.answers.append(code)
    url = receiver.url.replace("http://", "json://")
    _, send = open_one(alerts=(url,))
    said = send(alert(HOSTILE), NOW)
    assert (said is None) is (reason is None)
    assert HOSTILE in msgspec.json.decode(receiver.received.get(timeout=60).body)["title"]
    for text in (said or "", caplog.text):
        assert "S3CRET" not in text
        assert "K3Y" not in text


@pytest.mark.parametrize("url", ["nonsense://S3CRET/x", "S3CRET", "", "slack://S3CRET"])
def test_a_url_that_apprise_cannot_use_is_refused_at_start_without_its_secrets(
    url, caplog, tmp_path
):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConfigError, match=r"alerts\[1\]=") as caught:
        Monitor(buffer=tmp_path / "drift.db", alerts=["json://localhost/x", url])
    assert "S3CRET" not in str(caught.value) + caplog.text


def test_without_apprise_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"pip install 'drift-middleware\[alerts\]'"):
        open_one(alerts=("mailto://localhost",))


def snippet():
    """The receiver's side, as the README has it."""
    (code,) = re.findall(r"```python\n([^`]*def is_genuine.*?)```", README, re.DOTALL)
    return code


def genuine(request, secret="k3y", now=NOW):  # noqa: S107  # of these tests alone
    names = {"SECRET": secret}
    exec(snippet(), names)  # noqa: S102  # our own README
    return names["is_genuine"](request.headers, request.body, now)


def test_a_webhook_gets_the_alert_signed_as_the_readme_verifies_it(receiver):
    name, send = open_one(webhook=receiver.url, webhook_secret="k3y")  # noqa: S106  # of these tests alone
    assert name == "webhook"
    assert send(alert(HOSTILE), NOW) is None
    request = receiver.received.get(timeout=60)
    assert msgspec.json.decode(request.body, type=Alert) == alert(HOSTILE)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-drift-alert"] == "an-id"
    assert genuine(request)
    assert not genuine(request, secret="other")  # noqa: S106  # of these tests alone
    assert not genuine(request, now=NOW + 301)
    for name, value in (("X-Drift-Timestamp", str(int(NOW) + 1)), ("X-Drift-Signature", "sha256=")):
        kept = request.headers[name]
        request.headers.replace_header(name, value)
        assert not genuine(request)
        request.headers.replace_header(name, kept)
    request.body += b" "
    assert not genuine(request)


def test_without_a_secret_nothing_is_signed(receiver):
    _, send = open_one(webhook=receiver.url)
    assert send(alert(), NOW) is None
    assert "x-drift-signature" not in receiver.received.get(timeout=60).headers


@pytest.mark.parametrize(("code", "reason"), [(204, None), (400, "HTTP 400"), (302, "HTTP 302")])
def test_what_a_webhook_answers_is_told_and_a_redirect_is_not_followed(receiver, code, reason):
    receiver.answers.append(code)
    _, send = open_one(webhook=receiver.url)
    assert send(alert(), NOW) == reason
    assert receiver.received.qsize() == 1


def test_a_webhook_that_is_not_there_is_told_without_the_url():
    _, send = open_one(webhook=f"http://127.0.0.1:{free_port()}/S3CRET")
    assert send(alert(), NOW) == "ConnectionRefusedError: Connection refused"


def test_a_webhook_that_hangs_is_left_in_the_end(receiver, monkeypatch):
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.05)
    receiver.hanging.set()
    _, send = open_one(webhook=receiver.url)
    assert send(alert(), NOW) == "TimeoutError"


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 2\r\n\r\n"])
def test_a_webhook_that_speaks_no_http_is_told(answer):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        _, send = open_one(webhook=f"http://127.0.0.1:{server.getsockname()[1]}/S3CRET")
        reason = send(alert(), NOW)
        thread.join(60)
    assert reason
    assert "S3CRET" not in reason


def test_a_function_gets_the_check_and_the_severity_before_it():
    calls = []
    name, send = open_one(on_change=lambda *given: calls.append(given))
    assert name == "on_change"
    assert send(alert(), NOW) is None
    assert calls == [(alert().check, "none")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"webhook": "ftp://S3CRET/x"}, "webhook=*** is impossible"),
        ({"webhook": "https://u:S3CRET@host/x"}, "webhook=*** is impossible"),
        ({"webhook": "https:///S3CRET"}, "webhook=*** is impossible"),
        ({"webhook": ["S3CRET"]}, "webhook=*** is impossible"),
        ({"alerts": [["S3CRET"]]}, "alerts=*** is impossible"),
        ({"webhook_secret": 5}, "webhook_secret=*** is impossible"),
        ({"webhook_secret": "S3CRET"}, "give webhook, too"),
        ({"webhook": "https://h", "webhook_secret": " "}, "webhook_secret is empty"),
        ({"on_change": "print"}, "on_change='print' is no function"),
        ({"alert_at": "none"}, "'low', 'medium', 'high'"),
        ({"alert_repeat_hours": 0}, "> 0"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_an_impossible_option_is_refused_and_no_secret_is_shown(options, said):
    with pytest.raises(ConfigError) as caught:
        Config.load({}, **options)
    assert said in str(caught.value)
    assert "S3CRET" not in str(caught.value)


def test_no_secret_is_in_the_text_of_the_options():
    options = {"alerts": "mailto://u:S3CRET@h", "webhook": "https://h/S3CRET"}
    config = Config.load({}, **options, webhook_secret="S3CRET", token="S3CRET")  # noqa: S106  # of these tests alone
    assert "S3CRET" not in repr(config)
    assert "alerts=***, webhook=***, webhook_secret=***" in repr(config)
    assert "S3CRET" not in str(config.__rich_repr__())


def test_a_variable_may_name_urls_that_have_commas():
    text = "mailto://h?to=a@x.org,b@x.org, slack://a/b/c"
    assert Config.load({"DRIFT_ALERTS": text}).alerts == (
        "mailto://h?to=a@x.org,b@x.org",
        "slack://a/b/c",
    )
    assert Config.load({"DRIFT_ALERT_REPEAT_HOURS": "null"}).alert_repeat_hours is None
