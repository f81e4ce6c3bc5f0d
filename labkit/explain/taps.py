"""Looking inside a network while it computes, and leaving it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from labkit.errors import InputError

__all__ = ["evaluating", "tapped"]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Switch dropout off and batch normalisation to its running means; afterwards as before."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def tapped(
    layers: Mapping[str, nn.Module], see: Callable[[str, Tensor], Tensor | None], *, once: bool = True
) -> Iterator[None]:
    """Call a function with the output of each layer while the block runs; no hook stays, whatever happens.

    Parameters
    ----------
    layers : mapping of str to Module
        The layers by name.
    see : callable
        Gets a layer's name and its output; a Tensor that it returns takes the output's place.
    once : bool
        Refuse a layer that computes more than once in the block.

    Raises
    ------
    InputError
        If `once` is broken: such a layer has more than one output.
    """
    seen: set[str] = set()

    def hook_of(name: str) -> Callable[..., Tensor | None]:
        def hook(module: nn.Module, given: Any, output: Any) -> Tensor | None:
            if not isinstance(output, Tensor):
                return None
            if once and name in seen:
                raise InputError(
                    f"layer must compute once for an image, {name!r} does so more often; choose another"
                )
            seen.add(name)
            return see(name, output)

        return hook

    handles = [module.register_forward_hook(hook_of(name)) for name, module in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
