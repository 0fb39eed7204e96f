"""What a configuration may say, what it may not, and that every shipped one is right."""

import dataclasses
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from acutance.errors import ConfigError, InputNotFoundError
from acutance.training.distill.options import LossOptions, RunOptions, ScheduleOptions, load_config
from acutance.training.distill.schedule import learning_rate

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
# test_conditioned_run.py reads those with calls.
SHIPPED = sorted(p for p in CONFIGS.glob("*.toml") if "calls" not in tomllib.loads(p.read_text(encoding="utf-8")))
MINIATURE = CONFIGS / "miniature.toml"


@pytest.fixture
def config(tmp_path):
    """Writes a configuration made of the miniature one with one line replaced."""

    def write(old: str, new: str) -> Path:
        text = MINIATURE.read_text()
        assert text.count(old) == 1
        path = tmp_path / "changed.toml"
        path.write_text(text.replace(old, new))
        return path

    return write


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_shipped_config_is_right(path):
    options = load_config(path)
    assert options.steps > 0
    assert load_config(path).sha256 == options.sha256
    assert not options.without_teacher().losses.teacher_l1


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_the_network_of_every_shipped_config_can_be_built(path):
    pytest.importorskip("torch")
    from acutance.training.distill.run import build_student

    assert sum(p.numel() for p in build_student(load_config(path)).parameters()) > 0


def test_the_reports_run_is_the_reports():
    options = load_config(CONFIGS / "report2025-x4.toml")
    assert dataclasses.asdict(options.losses) == {
        **dataclasses.asdict(LossOptions()), "mse": 0.7, "teacher_mse": 0.3, "edge": 0.1,
    }  # fmt: skip
    assert (options.optimizer.name, options.optimizer.lr, options.optimizer.clip_norm) == ("adam", 1e-4, 1.0)
    assert (options.data.batch, options.data.crop) == (8, 128)
    assert (options.schedule.epochs, options.train.patience) == (25, 8)
    per_epoch = options.schedule.steps_per_epoch
    rates = [learning_rate(epoch * per_epoch, options.optimizer.lr, options.schedule) for epoch in range(25)]
    assert rates == [1e-4] * 10 + [5e-5] * 10 + [2.5e-5] * 5


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("crop = 48", "crop = 48\ncorp = 1", "unknown key corp"),
        ("[train]", "[trian]\nx = 1\n[train]", "unknown key trian"),
        ('down = "bicubic"', 'down = "bicubic"\nblur = 1', "unknown key blur"),
        ("factor = 2.0", "factor = 2.5", "factor"),
        ("crop = 48", 'crop = "48"', "crop must be of type int"),
        ("crop = 48", "crop = true", "crop must be of type int"),
        ("crop = 48", "crop = 47", "data.crop must be positive and divide"),
        ("crop = 48", "crop = 0", "data.crop"),
        ("crop = 48", "crop = 52\ntile = 59", "data.tile must hold a crop of 52"),
        ("batch = 4", "batch = 0", "data.batch"),
        ("lr = 5e-3", "lr = nan", "optimizer.lr"),
        ("lr = 5e-3", "lr = 5e-3\nbetas = [0.9]", "takes 2 values"),
        ("lr = 5e-3", "lr = 5e-3\nbetas = [0.9, 1.0]", "betas must lie in"),
        ('name = "adam"', 'name = "sgd"', "adam, adamw or soap"),
        ('kind = "cosine"', 'kind = "linear"', "schedule.kind"),
        ("warmup_steps = 20", "warmup_steps = -1", "warmup_steps"),
        ("ema = 0.98", "ema = 1.0", "train.ema"),
        ("seed = 1", "seed = -1", "train.seed"),
        ("threads = 1", "threads = 0", "train.threads"),
        ("l1 = 1.0\nteacher_l1 = 0.5", "l1 = 0.0", "every weight is 0"),
        ("teacher_l1 = 0.5", "teacher_l1 = -0.5", "negative"),
        ('weights = "teachers/miniature.safetensors"', "", "needs teacher.weights"),
        ('sees = "degraded"', 'sees = "all"', "teacher.sees"),
        ('train = ["pictures"]', "", "names no folder"),
        ("[losses]", "[losses", "not a TOML file"),
    ],
)
def test_what_a_config_says_wrong_is_named(config, old, new, said):
    path = config(old, new)
    with pytest.raises(ConfigError, match=r"changed|miniature") as caught:
        load_config(path)
    assert said in str(caught.value)


def test_a_config_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputNotFoundError, match=r"none\.toml"):
        load_config(tmp_path / "none.toml")


def test_set_is_typed_and_finds_its_section():
    options = load_config(
        MINIATURE,
        ["lr=1e-3", "schedule.epochs=7", "block=plain", 'data.train=["a", "b"]', "betas=[0.5, 0.9]", "name=x"],
    )
    assert options.optimizer.lr == 1e-3
    assert options.schedule.epochs == 7
    assert options.student.block == "plain"
    assert options.data.train == ("a", "b")
    assert options.optimizer.betas == (0.5, 0.9)
    assert options.name == "x"  # the run's, not the optimiser's


def test_an_integer_is_taken_for_a_number():
    assert load_config(MINIATURE, ["lr=1"]).optimizer.lr == 1.0


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("lr", "expected key=value"),
        ("learning_rate=1", "no such option"),
        ("optimizer.rate=1", "unknown key rate"),
        ("optimizer=1", "no such option"),
        ("name.x=1", "name is not a section"),
        ("epochs=many", "epochs must be of type int"),
        ("epochs=1.5", "epochs must be of type int"),
        ("milestones=[1, 'a']", "milestones must be of type int"),
    ],
)
def test_a_set_that_cannot_be_is_refused(override, said):
    with pytest.raises(ConfigError) as caught:
        load_config(MINIATURE, [override])
    assert said in str(caught.value)


def test_a_key_of_two_sections_must_name_one(monkeypatch):
    """No two sections share a key today; the day they do, a short name must not pick one of them."""
    import acutance.training.distill.options as module

    @dataclasses.dataclass(frozen=True)
    class Schedule(ScheduleOptions):
        lr: float = 0.0

    @dataclasses.dataclass(frozen=True)
    class Run(RunOptions):
        schedule: Schedule = dataclasses.field(default_factory=Schedule)

    monkeypatch.setattr(module, "RunOptions", Run)
    with pytest.raises(ConfigError, match=r"could be optimizer\.lr, schedule\.lr"):
        module.apply_overrides({}, ["lr=1"])


def test_a_bare_name_that_is_a_section_too_sets_what_can_be_set():
    assert load_config(MINIATURE, ['train=["x"]']).data.train == ("x",)


def test_crops_need_only_divide_by_the_factor():
    assert load_config(MINIATURE, ["crop=50"]).data.crop == 50


def test_the_hash_follows_every_value_and_nothing_else(tmp_path):
    options = load_config(MINIATURE)
    same = tmp_path / "elsewhere.toml"
    same.write_text("# a comment\n" + MINIATURE.read_text())
    assert load_config(same).sha256 == options.sha256
    assert load_config(MINIATURE, ["seed=2"]).sha256 != options.sha256


def test_the_control_differs_in_name_and_teacher_terms_only():
    options = load_config(MINIATURE)
    control = options.without_teacher()
    assert control.name == "miniature-clean-x2-control"
    assert control.losses == LossOptions(l1=1.0)
    for section in ("student", "data", "optimizer", "schedule", "train"):
        assert getattr(control, section) == getattr(options, section)


def test_a_control_of_teacher_terms_alone_asks_the_same_of_the_truth():
    recipe = load_config(MINIATURE, ["losses.l1=0", "losses.teacher_l1=2", "losses.teacher_mse=40"])
    assert recipe.without_teacher().losses == LossOptions(l1=2.0, mse=40.0)


def test_cosine_warms_up_in_a_line_and_ends_where_it_should():
    options = ScheduleOptions(epochs=10, steps_per_epoch=100, warmup_steps=50, final_lr=1e-5)
    rates = [learning_rate(step, 1e-2, options) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-2 / 50)
    assert rates[49] == pytest.approx(1e-2)
    assert all(a < b for a, b in pairwise(rates[:50]))
    assert all(a > b for a, b in pairwise(rates[50:]))
    assert rates[525] == pytest.approx((1e-2 + 1e-5) / 2, rel=1e-6)  # half way between warm-up and end
    assert rates[-1] == pytest.approx(1e-5, rel=0.01)


def test_multistep_halves_at_its_milestones_and_constant_stays():
    options = ScheduleOptions(kind="multistep", epochs=5, steps_per_epoch=10, milestones=(2, 4), gamma=0.5)
    assert [learning_rate(step, 8.0, options) for step in (0, 19, 20, 39, 40, 49)] == [8, 8, 4, 4, 2, 2]
    constant = dataclasses.replace(options, kind="constant")
    assert {learning_rate(step, 8.0, constant) for step in range(50)} == {8.0}
