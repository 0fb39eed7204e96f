"""``acutance degrade`` as a person runs it."""

import json

import numpy as np
import pytest
from PIL import Image

from acutance.cli.main import main


@pytest.fixture
def source(tmp_path, picture):
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    Image.fromarray(picture).save(folder / "a.png")
    Image.fromarray(picture[::-1]).save(folder / "below" / "b.png")
    return folder


def _manifest(folder):
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_without_options_pictures_go_down_by_two_and_up_again(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["degrade", str(source), str(out), "--progress", "plain"]) == 0
    with Image.open(out / "low" / "a.png") as low, Image.open(out / "degraded" / "below" / "b.png") as degraded:
        assert low.size == (60, 48)
        assert degraded.size == (120, 96)
    said = capsys.readouterr().err
    assert "2 pictures: 100% down x2 bicubic, up bicubic" in said
    assert f"2 pairs written to {out}" in said


def test_options_become_the_recipe_and_ranges_are_drawn_from(source, tmp_path):
    out = tmp_path / "out"
    options = ["--factor", "3", "--down", "bilinear", "--noise-sigma", "1", "4", "--jpeg-quality", "60", "--seed", "7"]
    assert main(["degrade", str(source), str(out), *options, "--progress", "none"]) == 0
    drawn = [record["degradation"] for record in _manifest(out)]
    assert all((d["factor"], d["down"], d["up"], d["jpeg_quality"]) == (3, "bilinear", "bicubic", 60) for d in drawn)
    sigmas = [d["noise_sigma"] for d in drawn]
    assert all(1 <= sigma <= 4 for sigma in sigmas)
    assert sigmas[0] != sigmas[1]


def test_a_real_encoder_runs_at_the_rate_given(source, tmp_path):
    out = tmp_path / "out"
    options = ["--codec", "h264", "--bitrate-kbps", "300"]
    assert main(["degrade", str(source), str(out), *options, "--progress", "none"]) == 0
    record = _manifest(out)[0]["degradation"]
    assert (record["codec"], record["bitrate_kbps"]) == ("h264", 300)
    assert record["size_bytes"] > 0


@pytest.mark.parametrize(
    "text",
    [
        "[[degradations]]\nfactor = 4.0\n",
        'name = "a run"\n[data]\ncrop = 96\n[[data.degradations]]\nfactor = 4.0\n',
    ],
    ids=["recipe", "training recipe"],
)
def test_a_recipe_file_says_the_same(source, tmp_path, text):
    (tmp_path / "r.toml").write_text(text)
    out = tmp_path / "out"
    arguments = ["degrade", str(source), str(out), "--recipe", str(tmp_path / "r.toml"), "--progress", "none"]
    assert main(arguments) == 0
    assert _manifest(out)[0]["degradation"]["factor"] == 4


def test_started_again_nothing_is_made_twice_and_another_seed_asks(source, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["degrade", str(source), str(out), "--noise-sigma", "2", "--progress"]
    assert main([*command, "none"]) == 0
    before = np.asarray(Image.open(out / "degraded" / "a.png"))
    assert main([*command, "json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (events[-1]["written"], events[-1]["kept"]) == (0, 2)
    assert main([*command, "none", "--seed", "1"]) == 8
    assert np.array_equal(np.asarray(Image.open(out / "degraded" / "a.png")), before)
    assert main([*command, "none", "--seed", "1", "--overwrite"]) == 0
    assert not np.array_equal(np.asarray(Image.open(out / "degraded" / "a.png")), before)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--factor", "2.5"], 11, "factor must be one of"),
        (["--codec", "h264"], 11, "needs either bitrate_kbps or bits_per_pixel"),
        (["--jpeg-quality", "1", "2", "3"], 2, "--jpeg-quality takes one value"),
        (["--jpeg-quality", "0"], 11, "jpeg_quality"),
        (["--recipe", "none.toml"], 3, "none.toml"),
        (["--recipe", "none.toml", "--factor", "2"], 2, "--factor exclude each other"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(source, tmp_path, capsys, options, code, said):
    assert main(["degrade", str(source), str(tmp_path / "out"), *options, "--progress", "none"]) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [("factor = 2", "expected [[degradations]], found factor"), ("[", "not a TOML file"), ("", "found nothing")],
)
def test_a_recipe_that_is_none_is_named(source, tmp_path, capsys, text, said):
    (tmp_path / "r.toml").write_text(text)
    assert main(["degrade", str(source), str(tmp_path / "out"), "--recipe", str(tmp_path / "r.toml")]) == 11
    err = capsys.readouterr().err
    assert "r.toml" in err
    assert said in err


@pytest.mark.parametrize("inside", ["", "pairs"])
def test_an_output_within_the_input_is_refused(source, capsys, inside):
    assert main(["degrade", str(source), str(source / inside), "--progress", "none"]) == 2
    assert "must lie outside" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["degrade", str(tmp_path / "nowhere"), str(tmp_path / "out"), "--progress", "none"]) == 3
    assert "nowhere" in capsys.readouterr().err
