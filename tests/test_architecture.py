"""What may import what.  Rooms are the modules and folders below the package."""

import ast
from pathlib import Path

import pytest

import drift_middleware

PACKAGE = Path(drift_middleware.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 500

RECORDS = {"errors", "schemas", "logger"}
ALLOWED = {
    "errors": set(),
    "schemas": set(),
    "logger": set(),
    "config": {"errors", "schemas", "tables"},
    "tables": {"schemas"},
    "capture": RECORDS,
    "drift": RECORDS,
    "buffer": RECORDS,
    "web": RECORDS,
    "export": RECORDS,
    "alerting": {"buffer", "config", "export", "overview", "schemas", "watch"},
    "tee": {"schemas"},
    "inbox": {"schemas", "tee"},
    "watch": {"config", "drift", "schemas"},
    "opening": {"capture", "config", "drift", "errors"},
    "overhead": set(),
    "pacing": set(),
    "events": {"drift", "logger", "schemas"},
    "judging": {"drift", "schemas", "watch"},
    "segments": {"config", "drift", "schemas", "watch"},
    "privacy": {"buffer", "capture", "config", "drift"},
    "learning": RECORDS | {"config", "capture", "drift", "buffer", "privacy", "watch"},
    "adopting": {"buffer", "capture", "config", "drift", "errors", "learning", "schemas", "watch"},
    "steering": {"adopting", "buffer", "config", "drift", "errors", "events", "watch"},
    "control": {"recorder", "schemas"},
    "writing": {"errors", "recorder", "watch"},
    "recorder": RECORDS
    | {"config", "capture", "drift", "buffer", "steering"}
    | {"alerting", "events", "judging", "learning", "pacing", "period", "privacy", "segments"}
    | {"watch"},
    "overview": {"buffer", "drift", "errors", "judging", "schemas", "watch"},
    "period": {"errors"},
    "backtest": RECORDS
    | {"buffer", "config", "drift", "judging", "opening", "period"}
    | {"recorder", "segments", "watch"},
    "stored": {"__init__", "buffer", "config", "drift", "overview", "period"}
    | {"recorder", "schemas", "segments", "watch"},
    "comparison": {"__init__", "config", "drift", "errors", "judging", "overview", "period"}
    | {"schemas", "segments", "watch"},
    "cli": RECORDS
    | {"__init__", "backtest", "buffer", "capture", "comparison", "config", "drift", "middleware"}
    | {"opening", "period", "recorder", "stored", "tee", "watch", "web"},
    "__main__": {"cli"},
    "monitor": RECORDS
    | {
        "alerting",
        "export",
        "overview",
        "segments",
        "config",
        "control",
        "capture",
        "drift",
        "buffer",
        "tee",
        "inbox",
        "opening",
        "overhead",
        "pacing",
        "period",
        "recorder",
        "watch",
        "writing",
        "__init__",
    },
    "middleware": RECORDS | {"config", "monitor", "tee", "web"},
    "__init__": {"capture", "config", "drift", "errors", "middleware", "monitor"},
}
KNOW_STARLETTE = {"middleware", "web"}
KNOW_ITS_TYPES = {"tee", "inbox", "overhead", "cli"}
SLOW = {
    *("pandas", "scipy.stats", "pyarrow", "sqlite_utils"),
    *("apprise", "prometheus_client", "opentelemetry"),
}
LOADED_LATE = {"buffer/migrations.py"}  # by the opening of a database alone


def name(path):
    return path.relative_to(PACKAGE).as_posix()


def room(path):
    return name(path).partition("/")[0].removesuffix(".py")


def imported(nodes):
    """Names of modules, `a.b` for `import a.b` and for `from a import b` alike."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide whence something comes"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_load(tree):
    """Nodes that run when the module is loaded: not those in functions or for type checkers."""
    for node in ast.iter_child_nodes(tree):
        is_late = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if is_late or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
            continue
        yield node
        yield from at_load(node)


def is_within(module, names):
    return any(module == one or module.startswith(f"{one}.") for one in names)


@pytest.fixture(params=MODULES, ids=name)
def module(request):
    return request.param


def test_the_rooms_are_those_that_are_drawn_here():
    assert {room(path) for path in MODULES} == ALLOWED.keys()


def test_a_module_imports_only_the_rooms_that_it_may(module):
    prefix = "drift_middleware."
    found = imported(ast.walk(ast.parse(module.read_text("utf-8"))))
    parts = [one.split(".")[1] for one in found if one.startswith(prefix)]
    rooms = {part if part in ALLOWED else "__init__" for part in parts}
    assert rooms - ALLOWED[room(module)] - {room(module)} == set()


def test_few_know_starlette(module):
    found = imported(ast.walk(ast.parse(module.read_text("utf-8"))))
    known = [one for one in found if is_within(one, {"starlette"})]
    if room(module) in KNOW_ITS_TYPES:
        known = [one for one in known if not is_within(one, {"starlette.types"})]
    assert known == [] or room(module) in KNOW_STARLETTE


def test_nothing_slow_is_imported_when_a_module_is_loaded(module):
    found = imported(at_load(ast.parse(module.read_text("utf-8"))))
    slow = [one for one in found if is_within(one, SLOW)]
    assert slow == [] or name(module) in LOADED_LATE


def test_a_module_can_be_read_in_one_sitting(module):
    assert len(module.read_text("utf-8").splitlines()) <= LONGEST


def test_each_folder_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(module.read_text("utf-8")))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import pandas as pd", ["pandas"]),
        ("from scipy import stats", ["scipy.stats"]),
        ("from scipy.stats import norm", ["scipy.stats.norm"]),
        ("try:\n    import pandas\nexcept ImportError: ...", ["pandas"]),
        ("class A:\n    import pandas", ["pandas"]),
        ("def f():\n    import pandas", []),
        ("if TYPE_CHECKING:\n    import pandas", []),
        ("import pandas_other", []),
        ("from scipy import special", []),
    ],
)
def test_these_tests_see_what_they_look_for(code, expected):
    assert [one for one in imported(at_load(ast.parse(code))) if is_within(one, SLOW)] == expected
