from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from acutance.choosing.condition import FEATURES
from acutance.errors import ConfigError
from acutance.students.spec import StudentShape
from acutance.training.models.conditioned import ConditionedNet, write_conditioned

SHAPE = StudentShape(unshuffle=2, channels=4, depth=1)


def _network(seed: int = 1, sets: int = 3) -> ConditionedNet:
    torch.manual_seed(seed)
    return ConditionedNet(SHAPE, sets=sets, hidden=5)


def test_a_mixture_adds_up_to_one_whatever_the_features() -> None:
    features = torch.tensor(np.random.default_rng(1).normal(0, 100, (7, FEATURES)), dtype=torch.float32)
    mixture = _network().mixture(features)
    assert mixture.shape == (7, 3)
    assert (mixture >= 0).all()
    torch.testing.assert_close(mixture.sum(1), torch.ones(7))


def test_the_first_set_alone_leaves_a_picture_as_it_is_to_the_bit() -> None:
    network, x = _network(), torch.rand(2, 1, 12, 16)
    identity = network.mixed(torch.tensor([[1.0, 0.0, 0.0]]))[0]
    assert torch.equal(network.run(x, identity), x)


def test_a_mixture_of_one_set_is_that_set() -> None:
    network, x = _network(), torch.rand(1, 1, 12, 16)
    second = network.mixed(torch.tensor([[0.0, 1.0, 0.0]]))[0]
    weight, bias = network.folded()[0]
    assert torch.equal(second[0][0], weight[1])
    assert torch.equal(second[0][1], bias[1])
    assert not torch.equal(network.run(x, second), x)


def test_crops_of_a_group_share_their_network() -> None:
    network = _network()
    crop = torch.rand(1, 1, 12, 12)
    features = torch.randn(2, FEATURES)
    output, mixture = network(crop.repeat(4, 1, 1, 1), features)
    assert torch.equal(output[0], output[1])
    assert torch.equal(output[2], output[3])
    assert mixture.shape == (2, 3)
    assert not torch.equal(mixture[0], mixture[1])


def test_every_parameter_but_the_first_sets_last_layer_learns() -> None:
    network = _network()
    output, _ = network(torch.rand(4, 1, 12, 12), torch.randn(2, FEATURES))
    output.square().mean().backward()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == [n for n, _ in network.named_parameters() if n.startswith("convs.2.") and n.endswith(".0")]


def test_folding_equals_the_sum_of_the_branches() -> None:
    conv = _network().convs[1]
    weight, _ = conv.folded()
    x = torch.rand(1, 4, 9, 9)
    for k in range(3):
        wide = torch.nn.functional.conv2d(x, conv.expand[k], padding=1)
        out = torch.nn.functional.conv2d(x, conv.direct[k], padding=1) + x
        out = out + torch.nn.functional.conv2d(wide, conv.squeeze[k][:, :, None, None])
        for e in range(3):
            mix = conv.edge[k].reshape(4, 3, 4)[:, e]
            mixed = torch.nn.functional.conv2d(x, mix[:, :, None, None])
            kernel = conv.edge_kernels[e].expand(4, 1, 3, 3)
            out = out + torch.nn.functional.conv2d(mixed, kernel, padding=1, groups=4)
        torch.testing.assert_close(torch.nn.functional.conv2d(x, weight[k], padding=1), out, atol=1e-5, rtol=1e-4)


def test_a_file_holds_both_looks_and_the_condition_network(tmp_path: Path) -> None:
    faithful, natural = _network(1), _network(2)
    natural.inner.load_state_dict(faithful.inner.state_dict())
    natural.outer.load_state_dict(faithful.outer.state_dict())
    write_conditioned(faithful, natural, tmp_path / "student.safetensors", metadata={"name": "student"})
    tensors = load_file(tmp_path / "student.safetensors")
    assert tensors["faithful.conv0.weight"].shape == (3, 4, 4, 3, 3)
    assert tensors["natural.conv1.slope"].shape == (3, 4)
    assert tensors["condition.inner.weight"].shape == (5, FEATURES)
    assert (tensors["faithful.conv2.weight"][0] == 0).all()
    assert not (tensors["faithful.conv0.weight"] == tensors["natural.conv0.weight"]).all()


def test_looks_with_different_condition_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="share their shape and their condition network"):
        write_conditioned(_network(1), _network(2), tmp_path / "student.safetensors", metadata={})
    assert not list(tmp_path.iterdir())


def test_a_student_of_one_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2 weight sets, not 1"):
        ConditionedNet(SHAPE, sets=1)
