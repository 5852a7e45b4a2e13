"""The README is a promise: what it lists is what there is."""

import re
from pathlib import Path

import msgspec
import pytest

from drift_middleware import Config, logger
from drift_middleware.capture.endpoints import described
from drift_middleware.schemas import Report

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
OPTIONS = dict(re.findall(r"^\| `(\w+)` \| `([^|]*)` \|", README, re.MULTILINE))
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def test_the_first_block_is_two_lines_that_need_no_other_set_up():
    kind, text = BLOCKS[0]
    lines = text.splitlines()
    assert kind == "sh"
    assert len(lines) == 2
    assert all(line.startswith("python3 -m venv .venv && ") for line in lines)


def test_every_option_is_in_the_table_with_its_default():
    config = Config()
    defaults = {name: getattr(config, name) for name in Config.__struct_fields__}
    assert list(OPTIONS) == list(defaults)
    for name, shown in OPTIONS.items():
        default = defaults[name]
        assert shown == str(int(default) if isinstance(default, float) else default), name


@pytest.mark.parametrize(
    "event", [v for k, v in vars(logger).items() if k.isupper() and k != "LOGGER"]
)
def test_every_event_is_named(event):
    assert f"`{event}`" in README


def test_the_report_that_is_shown_has_the_fields_that_there_are():
    (shown,) = (text for kind, text in BLOCKS if kind == "json" and '"signals"' in text)
    msgspec.json.decode(shown, type=Report, strict=True)
    fields = msgspec.json.decode(shown).keys()
    assert fields <= set(Report.__struct_fields__)


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_every_python_block_compiles(code):
    compile(code, "README.md", "exec")


def test_the_endpoint_that_is_shown_is_one(tmp_path):
    (shown,) = (text for kind, text in BLOCKS if kind == "toml" and "[[endpoint]]" in text)
    path = tmp_path / "drift.toml"
    path.write_text(shown)
    config = Config.load({"DRIFT_CONFIG": str(path)})
    (table,) = config.endpoint
    unused = {"extract", "response_prediction"}
    assert all(getattr(table, name) for name in {*table.__struct_fields__} - unused)
    assert len(described(config.endpoint)) == 1
