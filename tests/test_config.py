from pathlib import Path

import msgspec
import pandas as pd
import pytest

from drift_middleware.config import Config
from drift_middleware.errors import ConfigError
from drift_middleware.monitor import Monitor

DEFAULTS = {
    "baseline": None,
    "buffer": "drift.db",
    "check_every": 500,
    "check_seconds": None,
    "learn_rows": 2000,
    "predictions": "auto",
    "ignore": (),
    "kinds": {},
    "timestamp": None,
    "segment_by": None,
    "thresholds": {},
    "policy": "moved",
    "ordered": False,
    "guard": True,
    "checks_per_false_alarm": 10_000.0,
    "weights": {},
    "paths": (),
    "endpoint": (),
    "route": "/_drift",
    "token": None,
    "store": "rows",
    "redact": (),
    "hash": (),
    "keep_rows": 100_000,
    "keep_checks": 10_000,
    "alerts": (),
    "webhook": None,
    "webhook_secret": None,
    "on_change": None,
    "alert_at": "medium",
    "alert_repeat_hours": 24.0,
    "max_body_bytes": 1_048_576,
    "max_queue_bytes": 67_108_864,
    "max_per_second": None,
    "enabled": True,
}
THRESHOLDS = {"low": 0.01, "medium": 0.2, "high": 0.3}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def load(environ=None, **options):
    return Config.load(environ or {}, **options)


def refusal(environ=None, **options):
    with pytest.raises(ConfigError) as caught:
        load(environ, **options)
    return str(caught.value)


def test_every_option_has_the_default_that_is_promised():
    assert msgspec.structs.asdict(load()) == DEFAULTS


@pytest.mark.parametrize(
    ("option", "least"),
    [
        ("check_every", 1),
        ("learn_rows", 50),
        ("checks_per_false_alarm", 10),
        ("keep_checks", 1),
        ("max_body_bytes", 1),
        ("max_queue_bytes", 1),
    ],
)
def test_a_number_is_taken_down_to_its_bound_and_the_bound_is_named_below_it(option, least):
    assert getattr(load(**{option: least}), option) == least
    message = refusal(**{option: least - 1})
    assert f"{option}={least - 1}" in message
    assert f">= {least}" in message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"check_every": "many"}, ["check_every='many'", "`int`"]),
        ({"check_every": 1.5}, ["check_every=1.5", "`int`"]),
        ({"check_every": True}, ["check_every=True", "`int`"]),
        ({"check_every": None}, ["check_every=None", "`int`"]),
        ({"buffer": None}, ["buffer=None", "`str`"]),
        ({"buffer": ":memory:"}, ["buffer=':memory:'", "give a path"]),
        ({"policy": "pearson"}, ["policy='pearson'", "'moved', 'psi'", "'wasserstein'"]),
        ({"store": "nothing"}, ["store='nothing'", "'rows', 'tallies'"]),
        ({"store": "tallies"}, ["store='tallies'", "give a baseline"]),
        ({"ordered": True, "policy": "psi"}, ["ordered=True", "policy='moved'"]),
        ({"ordered": True, "policy": "ks"}, ["ordered=True", "not ks"]),
        ({"weights": {"age": 0}}, ["weights={'age': 0}", "> 0"]),
        ({"weights": {"age": float("inf")}}, ["weights={'age': inf}", "<= 1000"]),
        ({"weights": {"age": "much"}}, ["weights={'age': 'much'}", "`float`"]),
        ({"weights": 5}, ["weights=5", "`object`"]),
        ({"predictions": 5}, ["predictions=5", "sequence of names"]),
        ({"ignore": [5]}, ["ignore=[5]", "`str`"]),
        ({"route": "/"}, ["route='/'"]),
        ({"route": "drift"}, ["route='drift'"]),
        ({"route": "/_drift/"}, ["route='/_drift/'"]),
        ({"route": "/_drift?a"}, ["route='/_drift?a'"]),
        ({"enabled": "perhaps"}, ["enabled='perhaps'", "`bool`"]),
        ({"keep_rows": 100}, ["keep_rows=100", "learn_rows=2000", "raise it"]),
        ({"checks_per_false_alarm": float("nan")}, ["checks_per_false_alarm=nan", ">= 10"]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_an_impossible_value_is_refused_with_its_name_the_value_and_what_is_allowed(options, said):
    message = refusal(**options)
    assert [part for part in said if part not in message] == []


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ({"low": 0.1}, "low < medium < high"),
        ({"low": 0.3, "medium": 0.2, "high": 0.1}, "low < medium < high"),
        ({"low": 0.1, "medium": 0.1, "high": 0.2}, "low < medium < high"),
        ({"low": 0.1, "medium": 0.2, "higher": 0.3}, "low < medium < high, not 'higher'"),
        ({"age": {"medium": 0.2, "higher": 0.3}}, "low < medium < high, not 'higher'"),
        ({"age": {"low": 0.2, "high": 0.1}}, "low < medium < high"),
        ({"age": {"low": 0}}, "> 0"),
        ({"age": "high"}, "thresholds={'age': 'high'}"),
        ({"low": 0, "medium": 0.1, "high": 0.2}, "> 0"),
        ({"low": 0.1, "medium": 0.2, "high": 10}, "< 10"),
        ({"low": 0.1, "medium": float("nan"), "high": 0.2}, "`float`"),
        (0.1, "thresholds=0.1"),
    ],
)
def test_thresholds_ascend_from_above_zero_and_are_all_three_or_none(thresholds, said):
    assert load(thresholds=THRESHOLDS).thresholds == THRESHOLDS
    assert said in refusal(thresholds=thresholds)


def test_a_column_has_thresholds_of_its_own_and_may_leave_some_out():
    given = THRESHOLDS | {"age": {"high": 0.4}, "review.length": THRESHOLDS, "plan": {"low": 0.1}}
    for thresholds in (given, {"age": {"low": 0.1}}, {"missing": {"low": 0.01, "high": 0.2}}):
        assert load(thresholds=thresholds).thresholds == thresholds


def test_an_unknown_option_is_refused_with_the_nearest_name_and_all_that_are_known():
    message = refusal(chek_every=5)
    assert "Unknown option 'chek_every'. Did you mean 'check_every'?" in message
    assert [name for name in DEFAULTS if name not in message] == []
    assert "Did you mean" not in refusal(zzz=1)


def test_arguments_win_over_variables_and_these_over_the_file():
    Path("drift.toml").write_text("check_every = 1\nlearn_rows = 101\nkeep_checks = 1\n")
    config = load({"DRIFT_CHECK_EVERY": "2", "DRIFT_LEARN_ROWS": "102"}, check_every=3)
    assert (config.check_every, config.learn_rows, config.keep_checks) == (3, 102, 1)


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("check_every", "7", 7),
        ("checks_per_false_alarm", "1e5", 100_000.0),
        ("enabled", "false", False),
        ("enabled", "False", False),
        ("enabled", "0", False),
        ("ordered", "1", True),
        ("ordered", "true", True),
        ("token", "null", "null"),
        ("token", "123", "123"),
        ("ignore", "id, when,", ("id", "when")),
        ("ignore", "", ()),
        ("paths", "/predict,/models/*", ("/predict", "/models/*")),
        ("predictions", "auto", "auto"),
        ("predictions", "score", ("score",)),
        ("baseline", "b.csv", "b.csv"),
        ("baseline", "", None),
        ("thresholds", "low=.01, medium=.2, high=.3", THRESHOLDS),
        ("thresholds", "a.low=.1,b.c.low=.2", {"a": {"low": 0.1}, "b.c": {"low": 0.2}}),
        ("weights", "age=5, review.length=.5", {"age": 5.0, "review.length": 0.5}),
    ],
)
def test_the_text_of_a_variable_becomes_what_the_option_takes(option, text, value):
    found = getattr(load({f"DRIFT_{option.upper()}": text}), option)
    assert (found, type(found)) == (value, type(value))


def test_a_variable_that_cannot_be_read_is_refused_like_an_argument():
    assert "check_every='many'" in refusal({"DRIFT_CHECK_EVERY": "many"})
    assert "thresholds='much'" in refusal({"DRIFT_THRESHOLDS": "much"})
    assert load({"DRIFT_KINDS": "zip=category, note=text"}).kinds == {
        "zip": "category",
        "note": "text",
    }
    assert "allowed: 'number', 'category'" in refusal({"DRIFT_KINDS": "zip=postcode"})
    assert "weights='age=5=6'" in refusal({"DRIFT_WEIGHTS": "age=5=6"})
    assert "low < medium < high" in refusal({"DRIFT_THRESHOLDS": "low=.1,low.high=.2,high=.3"})


def test_a_misspelt_variable_is_refused_and_one_of_other_software_is_not():
    message = refusal({"DRIFT_CHEK_EVERY": "5"})
    assert "'DRIFT_CHEK_EVERY'" in message
    assert "'check_every'" in message
    assert load({"DRIFT_RACING_TEAM": "x", "OTHER": "y", "drift_check_every": "5"}) == load()


def test_the_environment_of_the_process_is_read_where_none_is_given(monkeypatch):
    monkeypatch.setenv("DRIFT_CHECK_EVERY", "9")
    assert Config.load().check_every == 9


def test_the_file_holds_lists_and_tables():
    Path("drift.toml").write_text(
        'ignore = ["id"]\n[thresholds]\nlow = 0.01\nmedium = 0.2\nhigh = 0.3\n'
        '[thresholds."review.length"]\nhigh = 0.4\n[weights]\nage = 5\n'
    )
    config = load()
    assert config.ignore == ("id",)
    assert config.thresholds == THRESHOLDS | {"review.length": {"high": 0.4}}
    assert config.weights == {"age": 5}


def test_another_file_can_be_named_and_must_then_be_there():
    Path("drift.toml").write_text("check_every = 1")
    Path("other.toml").write_text("check_every = 2")
    assert load({"DRIFT_CONFIG": "other.toml"}).check_every == 2
    message = refusal({"DRIFT_CONFIG": "gone.toml"})
    assert "DRIFT_CONFIG names gone.toml" in message


@pytest.mark.parametrize("content", [b"check_every 5", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_refused_by_name(content):
    Path("drift.toml").write_bytes(content)
    assert "drift.toml cannot be read as TOML" in refusal()


def test_an_unknown_option_in_the_file_is_refused():
    Path("drift.toml").write_text("chek_every = 5")
    assert "'chek_every'" in refusal()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weights": {"aeg": 2}}, "weights names 'aeg', .* Did you mean 'age'"),
        ({"thresholds": {"aeg": THRESHOLDS}}, "thresholds names 'aeg'"),
        ({"thresholds": {"age": {"low": 0.3}}}, "Thresholds of 'age'"),
    ],
    ids=str,
)
def test_what_only_the_baseline_can_tell_is_said_at_start_too(options, said):
    frame = pd.DataFrame({"age": [20.5, 31, 42] * 50, "score": [0.1, 0.5, 0.7] * 50})
    with pytest.raises(ConfigError, match=said):
        Monitor(baseline=frame, **options)
    Monitor(baseline=frame, weights={"age": 2}, thresholds={"score": THRESHOLDS}).close()


def test_a_token_is_never_shown_in_a_message():
    for value in (["s3cret"], {"s3cret": 1}, b"s3cret"):
        message = refusal(token=value)
        assert "token=***" in message
        assert "s3cret" not in message


def test_a_token_is_not_shown_by_the_options_themselves():
    config = load({"DRIFT_TOKEN": "s3cret"}, ignore=["s3"])
    assert "s3cret" not in repr(config) + str(config) + str(config.__rich_repr__())
    assert "route='/_drift', token=***, store='rows'" in repr(config)
    assert eval(repr(load(ignore=["a"]))) == load(ignore=["a"])  # noqa: S307  # of our own text


@pytest.mark.parametrize("token", ["", " "])
def test_a_token_that_is_empty_is_refused_and_does_not_leave_reading_open(token):
    assert refusal(token=token) == refusal({"DRIFT_TOKEN": token})
    assert refusal(token=token).startswith("token is empty: give a secret")


def test_what_people_naturally_write_is_accepted():
    config = load(
        buffer=Path("a") / "b.db", baseline=Path("b.csv"), ignore={"b", "a"}, paths="/predict"
    )
    assert config.buffer == str(Path("a/b.db"))
    assert config.baseline == "b.csv"
    assert config.ignore == ("a", "b")
    assert config.paths == ("/predict",)
    assert load(predictions="score").predictions == ("score",)
    assert load(predictions=["a", "b"]).predictions == ("a", "b")


def test_a_baseline_may_be_any_object_and_is_handed_on_as_it_is():
    frame = pd.DataFrame({"a": [1]})
    assert load(baseline=frame).baseline is frame


def test_options_cannot_be_changed_later():
    with pytest.raises(AttributeError):
        load().check_every = 1
