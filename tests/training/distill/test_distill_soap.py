"""SOAP: Adam, in a basis in which what it assumes is true."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
SOAP = pytest.importorskip("acutance.training.distill.soap").SOAP


def test_vectors_are_trained_by_adam_after_a_first_look() -> None:
    ours = torch.nn.Parameter(torch.linspace(-1, 1, 7))
    theirs = torch.nn.Parameter(ours.detach().clone())
    soap = SOAP([ours], lr=0.1, betas=(0.9, 0.95))
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.95))
    ours.grad = torch.ones(7)
    soap.step()
    torch.testing.assert_close(ours, theirs)  # it only looked
    for step in range(5):
        gradient = torch.cos(torch.arange(7.0) + step)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        soap.step()
        adam.step()
        torch.testing.assert_close(ours, theirs)


def _solve(kind: str, steps: int) -> float:
    """The loss left of a badly conditioned linear problem whose axes are not the coordinates'."""
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(24, 24, generator=generator)).Q
    inputs = torch.randn(256, 24, generator=generator) @ torch.diag(torch.logspace(0, -2, 24)) @ turn
    truth = torch.randn(8, 24, generator=generator)
    weight = torch.nn.Parameter(torch.zeros(8, 24))
    optimizer = SOAP([weight], lr=0.03) if kind == "soap" else torch.optim.Adam([weight], lr=0.03, betas=(0.9, 0.95))
    loss = torch.zeros(())
    for _ in range(steps):
        loss = (inputs @ (weight - truth).T).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def test_a_badly_conditioned_problem_is_solved_further_than_by_adam() -> None:
    assert _solve("soap", 200) < 0.2 * _solve("adam", 200)


def test_it_goes_on_from_its_state_bit_for_bit() -> None:
    def run(stop: int, state: dict[str, object] | None, weight: Any) -> tuple[Any, dict[str, object]]:
        parameter = torch.nn.Parameter(weight.clone())
        optimizer = SOAP([parameter], lr=0.02, every=3)
        if state is not None:
            optimizer.load_state_dict(state)
        start = 0 if state is None else 10
        for step in range(start, stop):
            parameter.grad = torch.sin(parameter.detach() * 3 + step)
            optimizer.step()
        return parameter.detach(), optimizer.state_dict()

    first = torch.linspace(-1, 1, 4 * 5 * 9).reshape(4, 5, 3, 3)
    whole, _ = run(25, None, first)
    half, state = run(10, None, first)
    resumed, _ = run(25, state, half)
    assert torch.equal(whole, resumed)


def test_a_closure_is_refused() -> None:
    with pytest.raises(ValueError, match="no closure"):
        SOAP([torch.nn.Parameter(torch.zeros(2))], lr=0.1).step(lambda: 0.0)


def test_weights_of_one_shape_learn_as_they_do_alone() -> None:
    """A stack is a matter of speed: nothing passes from one of its members to another."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 4), (5,), (4, 4), (3, 2, 2), (4, 4)]  # square: no null space, whose basis would be arbitrary
    together = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    alone = [torch.nn.Parameter(p.detach().clone()) for p in together]
    optimizers = [SOAP(together, lr=0.02, every=3), *(SOAP([p], lr=0.02, every=3) for p in alone)]
    for _ in range(12):
        for one, other in zip(together, alone, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
