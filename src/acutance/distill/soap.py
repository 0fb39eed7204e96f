"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al., arXiv 2409.11321)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["SOAP"]


class SOAP(torch.optim.Optimizer):
    """For networks as small as ours the matrices are tiny, and a step costs about a fifth more than Adam's.

    A weight of two or more dimensions is seen as a matrix of outputs x all else. Two running means of its gradient's
    second moments, G G^T and G^T G, have eigenvectors, in whose basis the gradient's entries are nearly independent;
    Adam, which assumes that they are, is run there. Biases, slopes and stacks of matrices (three dimensions) get plain
    Adam. The first step only looks.

    betas: decay of Adam's two moments. decay: of the running means. every: steps between updates of the basis, each of
    which is one step of the power iteration, and a QR.
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
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "decay": decay, "every": every, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step, from the gradients as they are. A closure is not supported, and refused."""
        if closure is not None:
            raise ValueError("SOAP takes no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    _update(parameter, parameter.grad, self.state[parameter], group)


def _update(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    is_matrix = parameter.ndim in (2, 4)
    gradient = gradient.reshape(parameter.shape[0], -1) if is_matrix else gradient.reshape(1, -1)
    if not state:
        state["step"] = 0
        state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        if is_matrix:
            state["left"], state["right"] = gradient @ gradient.T, gradient.T @ gradient
            state["left_basis"] = torch.linalg.eigh(state["left"]).eigenvectors
            state["right_basis"] = torch.linalg.eigh(state["right"]).eigenvectors
        return
    state["step"] += 1
    step, (beta1, beta2) = state["step"], group["betas"]
    state["mean"].lerp_(gradient, 1 - beta1)
    if is_matrix:
        left, right = state["left_basis"], state["right_basis"]
        turned, mean = left.T @ gradient @ right, left.T @ state["mean"] @ right
    else:
        turned, mean = gradient, state["mean"]
    state["square"].mul_(beta2).addcmul_(turned, turned, value=1 - beta2)
    scale = (state["square"] / (1 - beta2**step)).sqrt_().add_(group["eps"])
    change = mean / scale
    if is_matrix:
        change = left @ change @ right.T
    parameter.add_(change.reshape(parameter.shape), alpha=-group["lr"] / (1 - beta1**step))
    if is_matrix:
        state["left"].lerp_(gradient @ gradient.T, 1 - group["decay"])
        state["right"].lerp_(gradient.T @ gradient, 1 - group["decay"])
        if step % group["every"] == 0:
            state["left_basis"], order = _next_basis(state["left"], state["left_basis"])
            state["square"] = state["square"][order]
            state["right_basis"], order = _next_basis(state["right"], state["right_basis"])
            state["square"] = state["square"][:, order]


def _next_basis(moment: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """(basis: one power iteration on, largest eigenvalue first; order: where its columns were before)."""
    order = torch.argsort(torch.diagonal(basis.T @ moment @ basis), descending=True, stable=True)
    return torch.linalg.qr(moment @ basis[:, order]).Q, order
