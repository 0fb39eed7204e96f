"""Teachers: architectures against published weights, foreign checkpoints, and what is refused."""

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from acutance.errors import InputNotFoundError, MissingExtraError, TeacherError  # noqa: E402
from acutance.training.models.teachers import LKDN, SRResNet, UpConv7, load_teacher  # noqa: E402


def _small_srresnet(**options):
    torch.manual_seed(5)
    net = SRResNet(2, blocks=2, channels=8, **options).eval()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):  # as after training: not the identity
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                module.weight.normal_()
                module.bias.normal_()
            elif isinstance(module, torch.nn.PReLU):
                module.weight.uniform_(0, 1)
    return net


# Our names, written as those of public checkpoints: the inverse of what the loader does, by hand.
TUTORIAL = (
    (r"^head\.", "conv_block1.conv_block.0."),
    (r"^head_act\.", "conv_block1.conv_block.1."),
    (r"^body\.(\d+)\.conv1\.", r"residual_blocks.\1.conv_block1.conv_block.0."),
    (r"^body\.(\d+)\.bn1\.", r"residual_blocks.\1.conv_block1.conv_block.1."),
    (r"^body\.(\d+)\.act\.", r"residual_blocks.\1.conv_block1.conv_block.2."),
    (r"^body\.(\d+)\.conv2\.", r"residual_blocks.\1.conv_block2.conv_block.0."),
    (r"^body\.(\d+)\.bn2\.", r"residual_blocks.\1.conv_block2.conv_block.1."),
    (r"^mid\.", "conv_block2.conv_block.0."),
    (r"^mid_bn\.", "conv_block2.conv_block.1."),
    (r"^up\.(\d+)\.conv\.", r"subpixel_convolutional_blocks.\1.conv."),
    (r"^up\.(\d+)\.act\.", r"subpixel_convolutional_blocks.\1.prelu."),
    (r"^tail\.", "conv_block3.conv_block.0."),
)
SRGAN_PYTORCH = (
    (r"^head\.", "conv1.0."),
    (r"^head_act\.", "conv1.1."),
    (r"^body\.(\d+)\.conv1\.", r"trunk.\1.rcb.0."),
    (r"^body\.(\d+)\.bn1\.", r"trunk.\1.rcb.1."),
    (r"^body\.(\d+)\.act\.", r"trunk.\1.rcb.2."),
    (r"^body\.(\d+)\.conv2\.", r"trunk.\1.rcb.3."),
    (r"^body\.(\d+)\.bn2\.", r"trunk.\1.rcb.4."),
    (r"^mid\.", "conv2.0."),
    (r"^mid_bn\.", "conv2.1."),
    (r"^up\.(\d+)\.conv\.", r"upsampling.\1.upsample_block.0."),
    (r"^up\.(\d+)\.act\.", r"upsampling.\1.upsample_block.2."),
    (r"^tail\.", "conv3."),
)


def _renamed(state, rules):
    out = {}
    for name, tensor in state.items():
        (new,) = [re.sub(pattern, replacement, name) for pattern, replacement in rules if re.search(pattern, name)]
        out[new] = tensor
    return out


@pytest.mark.parametrize(
    ("rules", "normalised", "wrap"),
    [
        (TUTORIAL, True, lambda state: {"model": state, "epoch": 3}),
        (TUTORIAL, True, lambda state: {f"module.{name}": t for name, t in state.items()}),
        (SRGAN_PYTORCH, False, lambda state: {"state_dict": state, "psnr": 31.0}),
        (SRGAN_PYTORCH, False, lambda state: state),
        ((), False, lambda state: {"params_ema": state}),
    ],
    ids=["tutorial", "tutorial-parallel", "srgan-pytorch", "srgan-pytorch-bare", "own"],
)
def test_public_srresnet_layouts_load_and_compute_the_same(rules, normalised, wrap, tmp_path):
    net = _small_srresnet(normalised=normalised)
    state = _renamed(net.state_dict(), rules) if rules else net.state_dict()
    torch.save(wrap(state), tmp_path / "teacher.pth")
    teacher = load_teacher(tmp_path / "teacher.pth")
    x = torch.rand(1, 3, 12, 10)
    assert (teacher.architecture, teacher.scale) == ("SRResNet", 2)
    with torch.no_grad():
        torch.testing.assert_close(teacher.module(x), net(x))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_scale_of_an_srresnet_is_read_from_its_tensors(scale, tmp_path):
    save_file(SRResNet(scale, blocks=1, channels=8).state_dict(), tmp_path / "t.safetensors")
    teacher = load_teacher(tmp_path / "t.safetensors")
    low = np.zeros((7, 5, 3), np.uint8)
    assert teacher.scale == scale
    assert teacher.restore(low).shape == (7 * scale, 5 * scale, 3)


def test_the_reports_teacher_has_sixteen_blocks_of_64_channels():
    net = SRResNet(4)
    assert len(net.body) == 16
    assert net.head.out_channels == 64


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lkdn_loads_the_published_weights_strictly(data_folder, scale):
    teacher = load_teacher(data_folder / "teachers" / f"LKDN_x{scale}.safetensors")
    assert (teacher.architecture, teacher.scale) == ("LKDN", scale)
    assert teacher.cost.parameters == {2: 303_812, 3: 311_387, 4: 321_992}[scale]
    assert isinstance(teacher.module, LKDN)
    assert not any(p.requires_grad for p in teacher.module.parameters())


def test_upconv7_loads_the_published_weights_strictly(data_folder):
    teacher = load_teacher(data_folder / "teachers" / "upconv7_photo_noise1_x2.safetensors")
    assert (teacher.architecture, teacher.scale) == ("upconv_7", 2)
    assert teacher.cost.parameters == 552_483
    assert isinstance(teacher.module, UpConv7)


@pytest.mark.parametrize(("name", "at_least"), [("LKDN_x2", 2.0), ("upconv7_photo_plain_x2", 1.0)])
def test_published_teachers_beat_bicubic(data_folder, name, at_least):
    """A wrong layer (a block with an identity, another padding) would load as well, and lose."""
    from acutance.degrade import down_up
    from acutance.luma import luma_from_rgb
    from acutance.metrics import psnr
    from acutance.training.data.folders import load_rgb

    sharp = load_rgb(data_folder / "test" / "Set5" / "bird.png")[60:204, 60:204]
    low, bicubic = down_up(sharp, 2)
    restored = load_teacher(data_folder / "teachers" / f"{name}.safetensors").restore(low)
    truth = luma_from_rgb(sharp)
    gain = psnr(luma_from_rgb(restored), truth, border=2) - psnr(luma_from_rgb(bicubic), truth, border=2)
    assert gain > at_least


def test_tiles_meet_without_a_seam(tmp_path, monkeypatch):
    import acutance.training.models.teachers as teachers

    save_file(UpConv7().state_dict(), tmp_path / "t.safetensors")
    teacher = load_teacher(tmp_path / "t.safetensors")
    low = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    whole = teacher.restore(low)
    monkeypatch.setattr(teachers, "_TILE", 24)
    np.testing.assert_allclose(teacher.restore(low), whole, atol=1e-3)


class _Evil:
    def __reduce__(self):
        return (print, ("code from a pickle was run",))


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path, capsys):
    torch.save({"state_dict": _Evil()}, tmp_path / "evil.pth")
    with pytest.raises(TeacherError, match=r"evil\.pth: cannot be read as weights"):
        load_teacher(tmp_path / "evil.pth")
    assert "code from a pickle" not in capsys.readouterr().out


def test_a_pickled_module_is_refused(tmp_path):
    torch.save(_small_srresnet(), tmp_path / "whole.pth")
    with pytest.raises(TeacherError, match=r"whole\.pth"):
        load_teacher(tmp_path / "whole.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_that_are_not_finite_are_refused(tmp_path, suffix):
    state = _small_srresnet().state_dict()
    state["tail.bias"] = torch.tensor([0.0, float("nan"), 0.0])
    path = tmp_path / f"nan.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    with pytest.raises(TeacherError, match=r"nan\..*tail\.bias holds values that are not finite"):
        load_teacher(path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, suffix):
    path = tmp_path / f"text.{suffix}"
    path.write_text("not weights")
    with pytest.raises(TeacherError, match="text"):
        load_teacher(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputNotFoundError, match="nowhere"):
        load_teacher(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.pop("tail.bias"), "does not fit SRResNet"),
        (lambda s: s.pop("head.weight"), "without its first convolution"),
        (lambda s: s.update(extra=torch.zeros(1)), "tensor extra has no place"),
        (lambda s: s.update({"mid.weight": torch.zeros(1)}), "does not fit SRResNet"),
    ],
)
def test_a_known_layout_with_wrong_tensors_is_refused_by_what_is_wrong(tmp_path, spoil, said):
    state = dict(_small_srresnet().state_dict())
    spoil(state)
    save_file(state, tmp_path / "t.safetensors")
    with pytest.raises(TeacherError, match=said):
        load_teacher(tmp_path / "t.safetensors")


def test_an_unknown_architecture_names_the_extra_that_may_know_it(tmp_path):
    try:
        import spandrel  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("spandrel is installed")
    save_file({"some.weight": torch.zeros(3)}, tmp_path / "t.safetensors")
    with pytest.raises(MissingExtraError, match=r"acutance\[spandrel\]"):
        load_teacher(tmp_path / "t.safetensors")
