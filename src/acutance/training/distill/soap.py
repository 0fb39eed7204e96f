"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al., arXiv 2409.11321)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["SOAP"]

_WIDEST = 1024


class SOAP(torch.optim.Optimizer):
    """For networks as small as ours the matrices are tiny, and a step costs about a tenth more than Adam's.

    A weight of two or four dimensions is seen as a matrix of outputs x all else. Two running means of its gradient's
    second moments, G G^T and G^T G, have eigenvectors, in whose basis the gradient's entries are nearly independent;
    Adam, which assumes that they are, is run there. Biases, slopes and stacks of matrices (three dimensions) get plain
    Adam. The first step only looks.

    Weights of one shape are updated together, as a stack: of so small a network most of the time goes into calls. The
    stack's state is kept with the first of them. So the parameters that have gradients must be the same at every step.

    betas: decay of Adam's two moments. decay: of the running means. every: steps between updates of the basis, each of
    which is one step of the power iteration, and a QR. widest: sides of a matrix longer than this keep their own basis.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.95),
        decay: float = 0.95,
        every: int = 10,
        eps: float = 1e-8,
        widest: int = _WIDEST,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "decay": decay, "every": every, "eps": eps, "widest": widest}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step, from the gradients as they are. A closure is not supported, and refused."""
        if closure is not None:
            raise ValueError("SOAP takes no closure")
        for group in self.param_groups:
            families: dict[tuple[int, ...], list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shape = tuple(parameter.shape) if parameter.ndim in (2, 4) else ()
                    families.setdefault(shape, []).append(parameter)
            for shape, members in families.items():
                gradients = [p.grad for p in members if p.grad is not None]
                state = self.state[members[0]]
                if shape:
                    stack = torch.stack(gradients).reshape(len(members), shape[0], -1)
                    change = _matrix_change(stack, state, group)
                    changes = list(change.reshape(len(members), *shape))
                else:
                    change = _vector_change(torch.cat([g.reshape(-1) for g in gradients]), state, group)
                    sizes = [p.numel() for p in members]
                    changes = [c.reshape(p.shape) for c, p in zip(torch.split(change, sizes), members, strict=True)]
                torch._foreach_add_(members, changes)


def _vector_change(gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    """Adam's step for a vector."""
    if not state:
        return _first_look(gradient, state)
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - group["betas"][0])
    return _adam(state["mean"], gradient, state, group)


def _matrix_change(gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    """The step for a stack of matrices: count x outputs x all else."""
    sides = [
        side for side, length in (("left", -2), ("right", -1)) if gradient.shape[length] <= group.get("widest", _WIDEST)
    ]
    if not state:
        for side in sides:
            state[side] = _moment(gradient, side)
            state[f"{side}_basis"] = torch.linalg.eigh(state[side]).eigenvectors
        return _first_look(gradient, state)
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - group["betas"][0])
    turned, mean = (_turn(x, state, sides) for x in (gradient, state["mean"]))
    change = _adam(mean, turned, state, group)
    if "left" in sides:
        change = state["left_basis"] @ change
    if "right" in sides:
        change = change @ state["right_basis"].mT
    for side in sides:
        state[side].lerp_(_moment(gradient, side), 1 - group["decay"])
        if state["step"] % group["every"] == 0:
            state[f"{side}_basis"], order = _next_basis(state[side], state[f"{side}_basis"])
            order, dim = (order[:, :, None], 1) if side == "left" else (order[:, None, :], 2)
            state["square"] = torch.take_along_dim(state["square"], order, dim=dim)
    return change


def _moment(gradient: Tensor, side: str) -> Tensor:
    return gradient @ gradient.mT if side == "left" else gradient.mT @ gradient


def _turn(matrix: Tensor, state: dict[str, Any], sides: list[str]) -> Tensor:
    """Into the basis."""
    if "left" in sides:
        matrix = state["left_basis"].mT @ matrix
    return matrix @ state["right_basis"] if "right" in sides else matrix


def _first_look(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    state["step"] = 0
    state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
    return torch.zeros_like(gradient)


def _adam(mean: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    step, (beta1, beta2) = state["step"], group["betas"]
    state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    scale = (state["square"] / (1 - beta2**step)).sqrt_().add_(group["eps"])
    change: Tensor = mean / scale * (-group["lr"] / (1 - beta1**step))
    return change


def _next_basis(moment: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """(basis: one power iteration on, largest eigenvalue first; order: where its columns were before), of each."""
    values = torch.diagonal(basis.mT @ moment @ basis, dim1=1, dim2=2)
    order = torch.argsort(values, dim=1, descending=True, stable=True)
    return torch.linalg.qr(moment @ torch.take_along_dim(basis, order[:, None, :], dim=2)).Q, order
