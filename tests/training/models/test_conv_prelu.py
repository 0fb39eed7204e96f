"""The training kernel against torch's own operators in double precision, and the way back to them."""

import itertools
import os
import time
from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from acutance.errors import ConfigError  # noqa: E402
from acutance.training.models import conv_prelu  # noqa: E402
from acutance.training.models.conv_prelu import conv3x3_prelu, native_available  # noqa: E402


@pytest.fixture(params=["native", "torch"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test with the compiled kernel and with torch's operators."""
    if request.param == "native":
        _need_native()
    monkeypatch.setenv("ACUTANCE_TRAIN_KERNEL", request.param)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    _need_native()
    monkeypatch.setenv("ACUTANCE_TRAIN_KERNEL", "native")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def _need_native() -> None:
    if not native_available():
        pytest.skip(f"needs a C++ compiler and ninja to build the training kernel: {conv_prelu._build()}")


def _case(shape, outputs, *, slope, seed=0, channels_last=True):
    """Random arguments, and a random gradient for the output."""
    g = torch.Generator().manual_seed(seed)
    n, inputs, h, w = shape
    x = torch.randn(shape, generator=g)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    args = [
        x,
        torch.randn(outputs, inputs, 3, 3, generator=g) * (9 * inputs) ** -0.5,
        torch.randn(outputs, generator=g),
    ]
    values = torch.randn(outputs, generator=g)  # about half of them are negative
    args.append({"any": values, "positive": values.abs() + 0.01, "zero": values * 0, "none": None}[slope])
    return args, torch.randn(n, outputs, h, w, generator=g)


def _run(function, args, gy):
    """The output and the gradients of every argument."""
    args = [None if a is None else a.detach().clone().requires_grad_() for a in args]
    y = function(*args)
    return [y.detach(), *torch.autograd.grad(y, [a for a in args if a is not None], gy)]


def _reference(x, weight, bias, slope):
    y = functional.conv2d(x, weight, bias, padding=1)
    return y if slope is None else functional.prelu(y, slope)


def _compare(args, gy):
    actual = _run(conv3x3_prelu, args, gy)
    double = [None if a is None else a.double() for a in args]
    expected = _run(_reference, double, gy.double())
    for name, a, e in zip(("y", "x", "weight", "bias", "slope"), actual, expected, strict=False):
        assert a.shape == e.shape
        error = (a.double() - e).abs().max().item() / max(1.0, e.abs().max().item())
        assert error < 1e-5, name


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("slope", ["any", "positive", "zero", "none"])
def test_values_and_gradients(slope, subtests):
    channels, sizes = (1, 4, 8, 12, 16, 32), [(1, 1, 1), (2, 7, 13), (1, 12, 24), (3, 2, 25)]
    for inputs, outputs, (i, (n, h, w)) in itertools.product(channels, channels, enumerate(sizes)):
        with subtests.test(inputs=inputs, outputs=outputs, size=(n, h, w)):
            _compare(*_case((n, inputs, h, w), outputs, slope=slope, seed=i))


@pytest.mark.usefixtures("path")
def test_other_channel_counts(subtests):
    for inputs, outputs in [(2, 3), (3, 5), (5, 2), (9, 9), (6, 4), (24, 24), (48, 48), (64, 20), (72, 8)]:
        with subtests.test(inputs=inputs, outputs=outputs):
            _compare(*_case((2, inputs, 5, 11), outputs, slope="any"))


@pytest.mark.usefixtures("path")
def test_sizes(subtests):
    for h, w in [(1, 30), (30, 1), (2, 2), (48, 48), (17, 36)]:
        with subtests.test(h=h, w=w):
            _compare(*_case((2, 8, h, w), 8, slope="any"))


@pytest.mark.usefixtures("path")
def test_other_memory_formats():
    args, gy = _case((2, 8, 9, 10), 16, slope="any", channels_last=False)
    args[1] = args[1].contiguous(memory_format=torch.channels_last)
    _compare(args, gy)
    args[0] = torch.randn(2, 8, 9, 20)[..., ::2]
    _compare(args, gy.transpose(2, 3).contiguous().transpose(2, 3))
    _compare(args, torch.ones(1, 1, 1, 1).expand(2, 16, 9, 10))  # the gradient of a plain sum


@pytest.mark.usefixtures("native")
def test_output_is_channels_last():
    args, _ = _case((2, 8, 9, 10), 16, slope="any", channels_last=False)
    assert conv3x3_prelu(*args).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("path")
def test_zero_is_on_the_negative_side_as_in_torch():
    x = torch.ones(1, 1, 3, 3)
    args = [x, torch.zeros(1, 1, 3, 3), torch.zeros(1), torch.tensor([0.25])]
    gy = torch.ones(1, 1, 3, 3)
    assert _run(conv3x3_prelu, args, gy)[3].item() == _run(_reference, args, gy)[3].item() == 9 * 0.25


@pytest.mark.usefixtures("path")
def test_not_a_number_goes_through():
    args, _ = _case((1, 8, 4, 4), 8, slope="any")
    args[0][0, 3, 1, 1] = torch.nan
    assert torch.equal(conv3x3_prelu(*args).isnan(), _reference(*args).isnan())


@pytest.mark.usefixtures("path")
def test_only_the_needed_gradients():
    (x, weight, bias, slope), gy = _case((2, 4, 8, 8), 8, slope="any")
    expected = _run(conv3x3_prelu, [x, weight, bias, slope], gy)[1:]
    for needed in range(4):
        args = [a.detach().clone().requires_grad_(i == needed) for i, a in enumerate((x, weight, bias, slope))]
        conv3x3_prelu(*args).backward(gy)
        for i, a in enumerate(args):
            if i == needed:
                torch.testing.assert_close(a.grad, expected[i])
            else:
                assert a.grad is None


@pytest.mark.usefixtures("path")
def test_without_gradients():
    args, _ = _case((1, 8, 4, 4), 8, slope="any")
    with torch.no_grad():
        y = conv3x3_prelu(*(a.requires_grad_() for a in args))
    assert not y.requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(conv3x3_prelu(*args), y)


@pytest.mark.usefixtures("native")
def test_same_bits_whatever_the_threads():
    args, gy = _case((5, 12, 19, 23), 16, slope="any")
    results = []
    for threads in (1, 1, 2, 3):
        torch.set_num_threads(threads)
        results.append(_run(conv3x3_prelu, args, gy))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.usefixtures("native")
def test_an_image_does_not_depend_on_its_batch():
    args, _ = _case((3, 8, 9, 14), 8, slope="any")
    together = conv3x3_prelu(*args)
    assert torch.equal(together[1:2], conv3x3_prelu(args[0][1:2], *args[1:]))


@pytest.mark.usefixtures("path")
def test_a_double_takes_torch():
    args, _ = _case((1, 8, 4, 4), 8, slope="any")
    args = [a.double() for a in args]
    assert torch.equal(conv3x3_prelu(*args), _reference(*args))


@pytest.mark.usefixtures("path")
def test_an_empty_batch():
    args, _ = _case((0, 8, 4, 4), 8, slope="any")
    assert conv3x3_prelu(*args).shape == (0, 8, 4, 4)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_shapes_that_do_not_fit(which):
    args, _ = _case((1, 8, 4, 4), 8, slope="any")
    args[which] = args[which][:, :3] if which < 2 else args[which][:3]
    with pytest.raises(ValueError, match="conv3x3_prelu takes"):
        conv3x3_prelu(*args)


def test_unknown_choice(monkeypatch):
    monkeypatch.setenv("ACUTANCE_TRAIN_KERNEL", "fast")
    with pytest.raises(ConfigError, match=r"ACUTANCE_TRAIN_KERNEL='fast'.*native"):
        conv3x3_prelu(*_case((1, 8, 4, 4), 8, slope="any")[0])


def test_a_failed_build_warns_once_and_falls_back(monkeypatch):
    monkeypatch.setattr(conv_prelu, "_build", lambda: "RuntimeError: no compiler")
    conv_prelu._warn_once.cache_clear()
    monkeypatch.setenv("ACUTANCE_TRAIN_KERNEL", "auto")
    args, _ = _case((1, 8, 4, 4), 8, slope="any")
    with pytest.warns(RuntimeWarning, match="no compiler") as caught:
        first, second = conv3x3_prelu(*args), conv3x3_prelu(*args)
    assert len(caught) == 1
    assert torch.equal(first, _reference(*args))
    assert torch.equal(first, second)
    assert not native_available()
    monkeypatch.setenv("ACUTANCE_TRAIN_KERNEL", "native")
    with pytest.raises(ConfigError, match="no compiler"):
        conv3x3_prelu(*args)


def test_a_missing_compiler_is_a_reason(monkeypatch):
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    reason = conv_prelu._build.__wrapped__()
    assert reason is not None
    assert "/nonexistent/c++" in reason


def test_a_lock_left_by_a_killed_build_is_forgotten_and_a_fresh_one_is_not(tmp_path):
    lock = tmp_path / "lock"
    conv_prelu._forget_stale_lock(lock)
    lock.touch()
    conv_prelu._forget_stale_lock(lock)
    assert lock.exists()
    os.utime(lock, (time.time() - 1000, time.time() - 1000))
    conv_prelu._forget_stale_lock(lock)
    assert not lock.exists()
