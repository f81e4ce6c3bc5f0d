"""The sanity check of Adebayo et al. (2018): a map that explains a network must change with its weights.

Layers lose what they learned one after the other, from the output to the input. A method whose maps stay
alike shows the image (its edges, its brightest spots), not what the network made of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.errors import InputError
from labkit.explain.attribution import class_activation, class_activation_with_scale
from labkit.explain.inputs import Images
from labkit.explain.layers import open_network
from labkit.explain.resampling import interval, multiplicities
from labkit.explain.similarity import rank_correlation, structural_similarity
from labkit.learn.model import Model
from labkit.tables import Table

__all__ = ["Randomisation", "randomisation_check"]

#: Maps that are still this alike (mean rank correlation) when no layer knows anything, ignore the weights.
ALIKE = 0.5


@dataclass(frozen=True)
class Randomisation:
    """Similarity of maps to those of the trained network while its layers are randomised.

    Parameters
    ----------
    steps : tuple of str
        ``"trained"``, then the layer down to which everything is random.
    rank, structure : ndarray, shape (draw, step, object)
        Spearman's rank correlation and structural similarity (SSIM) with the trained network's map.
    blank : ndarray of bool, shape (draw, step, object)
        Whether the map became zero everywhere; its rank correlation counts as 0.
    between : ndarray, shape (object,)
        Rank correlation of each object's trained map with another object's: how alike maps are that share
        nothing but the method and the habit of candidates to lie in the centre.
    left_out : int
        Objects whose trained map is zero everywhere, which cannot change.
    """

    steps: tuple[str, ...]
    rank: np.ndarray
    structure: np.ndarray
    blank: np.ndarray
    between: np.ndarray
    left_out: int = 0

    @property
    def ignores_weights(self) -> bool:
        """Whether the maps of the wholly random network are still alike: mean rank correlation above 0.5."""
        return bool(self.rank[:, -1].mean() > ALIKE)

    def table(self, *, rng: np.random.Generator, resamples: int = 1000) -> Table:
        """Mean similarity at each step with 95 % intervals over the objects.

        Parameters
        ----------
        rng : Generator
            Draws the resamples.
        resamples : int
            Of the bootstrap.

        Returns
        -------
        Table
            One row a step: ``step``, ``rank``, ``rank_low``, ``rank_high``, ``structure``, ``structure_low``,
            ``structure_high``, ``blank`` (share of maps).
        """
        weights = multiplicities(self.rank.shape[-1], resamples, rng)
        columns: dict[str, Any] = {"step": np.array(self.steps)}
        for name, values in (("rank", self.rank.mean(0)), ("structure", self.structure.mean(0))):
            bounds = interval(weights @ values.T)
            columns |= {name: values.mean(1), f"{name}_low": bounds[0], f"{name}_high": bounds[1]}
        return Table(columns | {"blank": self.blank.mean((0, 2))})


def randomisation_check(
    model: Model,
    images: Images,
    *,
    rng: np.random.Generator,
    maps: Callable[..., np.ndarray] = class_activation,
    max_steps: int = 8,
    draws: int = 2,
    **options: Any,
) -> Randomisation:
    """Randomise a copy of a network from the last layer to the first and compare the maps.

    New weights of a layer are drawn from the normal distribution with the mean and standard deviation of the
    old ones, tensor by tensor, so that a random network is as loud as the trained one; running means of batch
    normalisation stay. The class and layer that are explained stay those of the trained network.

    Parameters
    ----------
    model : Model
        Any network; it is not changed.
    images : Sample, or array of uint8, shape (n, band, y, x)
        Two objects or more.
    rng : Generator
        Draws the weights.
    maps : callable
        What is checked: takes model, images and `options`, gives maps (n, y, x) from 0 to 1.
    max_steps : int
        Networks with more layers than that lose several in a step.
    draws : int
        Cascades, each with other weights.
    **options
        Passed to `maps`; for `class_activation` its method, target, layer and the rest.

    Returns
    -------
    Randomisation
        Similarity at each step.

    Raises
    ------
    InputError
        If fewer than two objects have a map, or `max_steps` or `draws` is below 1.
    """
    if len(images) < 2 or max_steps < 1 or draws < 1:
        raise InputError(
            "images must be 2 or more, max_steps and draws at least 1, "
            f"got {len(images)}, {max_steps}, {draws}"
        )
    if maps is class_activation:
        first = class_activation_with_scale(model, images, **options)
        options |= {"target": first.codes, "layer": first.layer}
    trained = maps(model, images, **options)
    shown = trained.any(axis=(1, 2))
    if np.sum(shown) < 2:
        raise InputError(f"maps must show something for 2 objects or more, {np.sum(~shown)} are blank")
    names: tuple[str, ...] = ("trained",)
    parts: dict[str, list] = {"rank": [], "structure": [], "blank": []}
    for _ in range(draws):
        copied = replace(model, network=copy.deepcopy(model.network))
        stages, steps = [trained[shown]], _steps(copied, max_steps)
        for _, weights in steps:
            _randomise(weights, rng)
            stages.append(maps(copied, images, **options)[shown])
        names = ("trained", *(name for name, _ in steps))
        parts["rank"].append([rank_correlation(stages[0], stage) for stage in stages])
        parts["structure"].append([structural_similarity(stages[0], stage) for stage in stages])
        parts["blank"].append([~stage.any(axis=(1, 2)) for stage in stages])
    between = rank_correlation(trained[shown], np.roll(trained[shown], 1, axis=0))
    arrays = {name: np.array(values) for name, values in parts.items()}
    return Randomisation(steps=names, between=between, left_out=int(np.sum(~shown)), **arrays)


def _steps(model: Model, max_steps: int) -> list[tuple[str, list[Tensor]]]:
    """Layers from the last to the first, each with its own weights, at most so many groups of them."""
    opened = open_network(model)
    taken: set[int] = set()
    owned: list[tuple[str, list[Tensor]]] = []
    for name in opened.outputs:  # a layer finishes before the block that holds it
        own = [p for p in opened.layers[name].parameters() if id(p) not in taken]
        taken |= {id(p) for p in own}
        if own:
            owned.append((name, list(own)))
    owned[0][1].extend(p for p in opened.network.parameters() if id(p) not in taken)
    owned.reverse()
    groups = np.array_split(np.arange(len(owned)), min(max_steps, len(owned)))
    return [(owned[group[-1]][0], [p for i in group for p in owned[i][1]]) for group in groups]


def _randomise(weights: list[Tensor], rng: np.random.Generator) -> None:
    with torch.no_grad():
        for tensor in weights:
            noise = torch.from_numpy(rng.standard_normal(tuple(tensor.shape), dtype=np.float32))
            spread = tensor.std(correction=0) if tensor.numel() > 1 else tensor.abs().sum()
            tensor.copy_(tensor.mean() + spread * noise.to(tensor.device, tensor.dtype))
