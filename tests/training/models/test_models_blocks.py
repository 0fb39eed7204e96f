"""Blocks that train as several branches and fold into one kernel."""

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from acutance.errors import ConfigError  # noqa: E402
from acutance.students.spec import StudentShape  # noqa: E402
from acutance.training.models.blocks import CollapsibleConv, PlainConv  # noqa: E402
from acutance.training.models.students import StudentNet  # noqa: E402


def _block(inputs, outputs):
    torch.manual_seed(inputs * 100 + outputs)
    block = CollapsibleConv(inputs, outputs)
    with torch.no_grad():
        block.bias.normal_()
        block.edge_scale.normal_()
    return block


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 8), (8, 8), (16, 16), (8, 4)])
def test_branches_fold_into_one_kernel_up_to_the_border(inputs, outputs):
    block = _block(inputs, outputs).double()
    x = torch.randn(2, inputs, 13, 17, dtype=torch.float64)
    weight, bias = block.folded()
    assert weight.shape == (outputs, inputs, 3, 3)
    # Zeros around the picture are zeros for every branch, since none but the last adds a bias: equal at the edge too.
    torch.testing.assert_close(F.conv2d(x, weight, bias, padding=1), block.forward_by_branch(x), atol=1e-12, rtol=1e-12)


def test_folding_is_exact_to_float_precision_in_single_precision():
    block = _block(8, 8)
    x = torch.randn(2, 8, 20, 20)
    weight, bias = block.folded()
    by_branch = block.forward_by_branch(x)
    difference = (F.conv2d(x, weight, bias, padding=1) - by_branch).abs().max()
    assert difference <= 1e-5 * by_branch.abs().max()


def test_every_branch_learns():
    block = _block(8, 8)
    weight, bias = block.folded()
    (weight.square().sum() + bias.sum()).backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in block.parameters())


def test_a_plain_block_is_its_kernel():
    block = PlainConv(4, 8)
    weight, bias = block.folded()
    assert weight is block.weight
    assert bias is block.bias


def test_unknown_block_is_refused_with_those_accepted():
    with pytest.raises(ConfigError, match="plain, collapsible"):
        StudentNet(StudentShape(2, 8, 1), block="dense")
