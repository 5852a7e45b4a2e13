"""The page in a real browser: the machine's own chromium, against a real server."""

import re
import shutil
import threading
import time
from contextlib import contextmanager
from importlib.resources import files
from urllib.parse import quote

import msgspec
import numpy as np
import pytest
import uvicorn
from playwright.sync_api import expect, sync_playwright
from starlette.applications import Starlette
from starlette.routing import Mount

from drift_middleware import Baseline, DriftMiddleware
from drift_middleware.schemas import Report
from drift_middleware.web import page as pages

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium here: apt-get install chromium"
)

SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(2)>"
LONG = "a_name_of_two_hundred_characters_" * 6 + "aa"
RIGHT_TO_LEFT = "عمر السائق"
EMOJI = "👩‍👩‍👧 🔥"
expect.set_options(timeout=20_000)  # where many share the machine
TOKEN = "s3cret"  # noqa: S105  # of these tests alone
PHONE = {"width": 380, "height": 800}
PLACES = ["", "?window=24h", f"?segment={quote(SCRIPT)}", "/history", "/signals/age"]
PLACES += [f"/signals/{quote(name, safe='')}" for name in (SCRIPT, LONG, RIGHT_TO_LEFT)]


def rows(rng, count, shift):
    """Traffic, or a baseline, with names and categories as strangers may send them."""
    for _ in range(count):
        categories = [SCRIPT, IMAGE, "Oslo", EMOJI]
        yield {
            "age": float(rng.normal(shift)),
            "quiet": float(rng.normal()),
            SCRIPT: categories[int(rng.integers(4))] if not shift else SCRIPT,
            LONG: float(rng.normal(shift / 2)),
            RIGHT_TO_LEFT: float(rng.normal(shift)),
            EMOJI: float(rng.normal()),
        }


def watched(folder, app=None, **options):
    """A model server whose traffic moved after the third check."""
    rng = np.random.default_rng(0)
    first = list(rows(rng, 1000, 0))
    columns = {name: [row[name] for row in first] for name in first[0]}
    one = DriftMiddleware(
        app or Starlette(),
        baseline=Baseline.fit(columns, ignore=["joint"], segment_by=SCRIPT),
        buffer=folder / "drift.db",
        check_every=50,
        segment_by=SCRIPT,
        **options,
    )
    send(one, rng, 150, 0)
    send(one, rng, 200, 2)
    return one


def send(one, rng, count, shift):
    for row in rows(rng, count, shift):
        one.monitor.record(row)
    assert one.monitor.drain(30)


@contextmanager
def serving(app, **options):
    """Serve on a free port of this machine; give the address."""
    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off", **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    one = watched(tmp_path_factory.mktemp("browser"))
    yield one
    one.monitor.close()


@pytest.fixture(scope="module")
def address(app):
    with serving(app) as found:
        yield f"{found}/_drift"


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as driver:
        # The sandbox of Chromium does not start as root, which CI is.
        one = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture
def visit(browser):
    """Open pages, and at the end see that no browser had anything to complain of."""
    contexts, complaints = [], []

    def open_page(url="about:blank", status=200, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.complaints = complaints
        answer = page.goto(url)
        assert answer is None or answer.status in (status, 0)  # 0: a file
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def says(page, path=""):
    return page.evaluate(f"getComputedStyle(document.documentElement).{path}")


def axe(page):
    """What axe has to say, in a line for each rule."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


def test_the_page_shows_what_moved(visit, address):
    page = visit(address)
    assert page.title() == "high · drift"
    expect(page.get_by_role("heading", level=1)).to_have_text("High")
    expect(page.get_by_role("heading", name=re.compile("^[34] of 6 signals moved"))).to_be_visible()
    moved = page.locator("li.signal", has=page.get_by_role("link", name="age", exact=True))
    picture = moved.get_by_role("img", name=re.compile("^Most moved"))
    expect(picture).to_be_visible()
    for kind in ("both", "more"):
        box = picture.locator(f".{kind}").bounding_box()
        assert min(box["width"], box["height"]) > 3, kind
    expect(moved).to_contain_text("at least")


def test_a_hostile_name_and_a_hostile_category_are_text(visit, address):
    page = visit(f"{address}/signals/{quote(SCRIPT, safe='')}")
    expect(page.get_by_role("heading", level=1)).to_have_text(SCRIPT)
    for category in (SCRIPT, IMAGE):
        expect(page.get_by_role("rowheader", name=category, exact=True)).to_be_visible()
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("place", PLACES)
def test_axe_has_nothing_to_say_and_a_phone_needs_no_sideways_scroll(visit, address, place):
    page = visit(f"{address}{place}", viewport=PHONE, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert axe(page) == []
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1200, "height": 800})
    assert axe(page) == []


def test_axe_would_speak_up(visit, address):
    page = visit(address)
    page.evaluate("document.querySelector('h1').outerHTML = '<h1></h1><img>'")
    page.evaluate("document.querySelector('.why').style.color = '#ccc'")
    assert {line.partition(":")[0] for line in axe(page)} >= {"color-contrast", "image-alt"}


def test_a_segment_is_a_page_of_its_own(visit, address):
    page = visit(address)
    segments = page.get_by_role("table", name="What the last check says of each segment")
    segments.get_by_role("link", name=SCRIPT, exact=True).first.click()
    expect(page.locator(".eyebrow")).to_contain_text(f"Segment {SCRIPT}")
    page.get_by_role("link", name="all traffic").click()
    expect(page.locator(".eyebrow")).to_have_text("Drift · watching")


def test_it_is_dark_in_the_dark(visit, address):
    def lightness(scheme):
        page = visit(address, color_scheme=scheme)
        return [
            sum(map(int, re.findall(r"\d+", says(page, name)))) for name in ("color", "background")
        ]

    ink, paper = lightness("light")
    assert ink < paper
    ink, paper = lightness("dark")
    assert ink > paper


def test_the_timeline_tells_a_check_by_pointing_and_a_run_by_the_keyboard(visit, address):
    page = visit(address)
    timeline = page.get_by_role("group", name=re.compile("^Severity of the last"))
    line = timeline.get_by_text("#2 ·")
    expect(line).to_be_hidden()
    timeline.locator("rect.hit").nth(1).hover()
    expect(line).to_be_visible()
    page.mouse.move(0, 0)
    expect(line).to_be_hidden()
    run = timeline.get_by_role("img").first
    run.focus()
    expect(run.locator("> text")).to_be_visible()


def test_the_keyboard_comes_to_the_content_first(visit, address):
    page = visit(address)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_without_scripts_all_of_it_can_be_read(visit, address):
    page = visit(f"{address}?window=24h", java_script_enabled=False)
    expect(page.get_by_role("heading", level=1)).to_have_text("High")
    expect(page.get_by_text("Refreshes itself")).to_be_hidden()
    expect(page.get_by_role("rowheader", name="quiet").first).to_be_attached()
    page.get_by_role("link", name="age", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("age")


def test_on_paper_nothing_is_folded(visit, address):
    page = visit(address)
    quiet = page.get_by_role("rowheader", name="quiet")
    expect(quiet).to_be_hidden()
    page.emulate_media(media="print")
    box = page.locator("table.quiet").bounding_box()
    assert box
    assert box["height"] > 20
    expect(page.get_by_role("navigation")).to_have_count(0)


def test_the_page_refreshes_itself_until_it_is_told_to_stand_still(visit, tmp_path):
    one, rng = watched(tmp_path), np.random.default_rng(1)
    try:
        with serving(one) as address:
            page = visit()
            page.clock.install()
            page.goto(f"{address}/_drift")
            check = page.locator("dl", has_text="Last check").first
            expect(check).to_contain_text("number 7")
            send(one, rng, 50, 0)
            page.clock.run_for(11_000)
            expect(check).to_contain_text("number 8")
            page.get_by_role("button", name="Refreshes itself").click()
            send(one, rng, 50, 0)
            page.clock.run_for(31_000)
            expect(page.get_by_role("button", name="Stands still")).to_be_visible()
            expect(check).to_contain_text("number 8")
    finally:
        one.monitor.close()


def test_with_a_token_the_page_is_the_way_in(visit, tmp_path):
    one = watched(tmp_path, token=TOKEN)
    try:
        with serving(one) as address:
            page = visit(f"{address}/_drift", status=401)
            refused = "Failed to load resource: the server responded with a status of 401"
            expect(page.get_by_role("heading", level=1)).to_have_text("A token is needed")
            assert axe(page) == []
            field = page.get_by_label("Token")
            field.fill("wrong")
            page.get_by_role("button", name="Open").click()
            expect(page.get_by_role("status")).to_have_text("This is not the token.")
            field.fill(TOKEN)
            field.press("Enter")
            expect(page.get_by_role("heading", level=1)).to_have_text("High")
            page.get_by_role("link", name="age", exact=True).first.click()
            expect(page.get_by_role("heading", level=1)).to_have_text("age")
            assert page.url == f"{address}/_drift/signals/age"
            page.go_back()
            expect(page.get_by_role("heading", level=1)).to_have_text("High")
            assert page.evaluate("Object.keys(localStorage).length + sessionStorage.length") == 0
            assert TOKEN not in page.content()
            assert [one for one in page.complaints if refused not in one] == []
            page.complaints.clear()
    finally:
        one.monitor.close()


def test_below_a_mount_and_at_another_route_every_link_works(visit, tmp_path):
    one = watched(tmp_path, route="/ops/drift")
    try:
        with serving(Starlette(routes=[Mount("/models/one", one)])) as address:
            page = visit(f"{address}/models/one/ops/drift")
            page.get_by_role("link", name="24 hours").click()
            expect(page.get_by_role("heading", name="Over the window")).to_be_visible()
            page.get_by_role("link", name=SCRIPT, exact=True).first.click()
            expect(page.get_by_role("heading", level=1)).to_have_text(SCRIPT)
            page.get_by_role("link", name="History").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("History")
            page.get_by_role("link", name="Drift").click()
            assert page.url == f"{address}/models/one/ops/drift"
    finally:
        one.monitor.close()


STATUSES = {
    "off": Report(status="off"),
    "learning": Report(status="learning", learning={"rows": 812, "needed": 2000}),
    "warming up": Report(),
    "degraded": Report(status="degraded", reason=f"{SCRIPT} {LONG}"),
}


@pytest.mark.parametrize("status", STATUSES)
def test_a_file_is_right_in_every_status(visit, tmp_path, status):
    path = tmp_path / "report.html"
    path.write_text(pages.render_report(STATUSES[status]), "utf-8")
    page = visit(path.as_uri(), viewport=PHONE)
    expect(page.locator("main")).to_contain_text(status)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert axe(page) == []


def test_a_report_with_all_its_history_is_one_file(visit, app, tmp_path):
    path = tmp_path / "report.html"
    report = app.monitor.report(window="24h")
    path.write_text(pages.render_report(report, history=app.monitor.history(100)), "utf-8")
    page = visit(path.as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text("High")
    assert says(page, "fontVariantNumeric") is not None
    assert page.locator("script, a[href^='.']").count() == 0
    assert axe(page) == []


def test_a_notebook_shows_the_report_and_keeps_its_own_looks(visit, app):
    page = visit()
    report = msgspec.structs.replace(app.monitor.report(), reason=SCRIPT)
    page.set_content(f"<h1>A notebook</h1>{pages.render_notebook(report)}")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", level=1)).to_have_text("High")
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).margin") != "0px"
