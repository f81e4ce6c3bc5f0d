"""Checks of class activation maps: they must change with the weights, and show what the answer hangs on.

The sanity check of Adebayo et al. (2018): a map that explains a network must change with its weights. Layers
lose what they learned one after the other, from the output to the input; a method whose maps stay alike shows
the image (its edges, its brightest spots), not what the network made of it. And faithfulness: without the
pixels that a map points at, the network's answer must fall more than without as many others.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
import torch
from astropy.table import Table
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from labkit.errors import InputError
from labkit.explain.bands import interval, object_shares
from labkit.explain.layers import Computing, Images, Target, open_network, prepare
from labkit.explain.maps import ClassActivation, class_activation
from labkit.learn.model import Model

#: Maps that are still this alike (mean rank correlation) when no layer knows anything, ignore the weights.
_ALIKE = 0.5
_WINDOW, _C1, _C2 = 7, 0.01**2, 0.03**2  # Wang et al. (2004): side in px, K1 and K2 for a range of 1
_MOST_STEPS = 8  # networks with more layers than that lose several in a step
_SHIFTS = 5  # of a hole, as references


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 3 or a.shape != b.shape:
        raise InputError(f"maps must have one shape (n, y, x), got {a.shape} and {b.shape}")
    return a, b


def rank_correlation(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Spearman's rank correlation of each pair of maps (n, y, x); 0 where one is constant."""
    ranks = (rankdata(maps.reshape(len(maps), -1), axis=1) for maps in _pair(first, second))
    x, y = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    norm = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return np.divide((x * y).sum(axis=1), norm, out=np.zeros(len(x)), where=norm > 0)


def structural_similarity(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Mean structural similarity of each pair of maps (n, y, x) from 0 to 1 (Wang et al. 2004, eq. 13).

    In a uniform window with unbiased variances, which torchmetrics' does not offer.
    """
    a, b = (torch.from_numpy(array)[:, None] for array in _pair(first, second))
    if min(a.shape[2:]) < _WINDOW:
        raise InputError(f"maps must be at least {_WINDOW} px wide and high, got {tuple(a.shape[2:])}")

    def mean(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values, _WINDOW, stride=1)

    ma, mb = mean(a), mean(b)
    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    va, vb, cov = (
        (mean(p * q) - mp * mq) * unbiased
        for p, q, mp, mq in ((a, a, ma, ma), (b, b, mb, mb), (a, b, ma, mb))
    )
    ssim = (2 * ma * mb + _C1) * (2 * cov + _C2) / ((ma**2 + mb**2 + _C1) * (va + vb + _C2))
    return ssim.mean((1, 2, 3)).numpy()


@dataclass(frozen=True)
class Randomisation:
    """Similarity of maps to those of the trained network while its layers are randomised."""

    steps: tuple[str, ...]  # "trained", then the layer down to which everything is random
    rank: np.ndarray  # (draw, step, object), Spearman's correlation with the trained network's map
    structure: np.ndarray  # (draw, step, object), structural similarity (SSIM) with it
    blank: np.ndarray  # (draw, step, object), whether the map became zero everywhere; its rank counts as 0
    # (object,), rank correlation of its trained map with another object's: how alike maps are that share
    # nothing but the method and the habit of candidates to lie in the centre
    between: np.ndarray
    left_out: int = 0  # objects whose trained map is zero everywhere, which cannot change

    @property
    def ignores_weights(self) -> bool:
        """Whether the maps of the wholly random network are still alike: mean rank correlation above 0.5."""
        return bool(self.rank[:, -1].mean() > _ALIKE)

    def table(self, *, rng: np.random.Generator) -> Table:
        """Mean similarity at each step, with 95 % intervals from a bootstrap over the objects.

        One row per step: ``step``, ``rank``, ``rank_low``, ``rank_high``, ``structure``, ``structure_low``,
        ``structure_high``, ``blank`` (share of maps).
        """
        weights = object_shares(self.rank.shape[-1], rng)
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
    maps: Callable[..., ArrayLike] = class_activation,
    draws: int = 2,
    **options: Any,
) -> Randomisation:
    """Randomise a copy of a network from the last layer to the first and compare the maps.

    New weights of a layer are drawn from the normal distribution with the mean and standard deviation of the
    old ones, tensor by tensor, so that a random network is as loud as the trained one; running means of batch
    normalisation stay. Networks of more than eight layers lose several in a step. The class and layer that
    are explained stay those of the trained network.

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
    draws : int
        Cascades, each with other weights.
    **options
        Passed to `maps`; for `class_activation` its method, target, layer and the rest.

    Returns
    -------
    Randomisation
        ``steps``, ``rank`` and ``structure`` (draw, step, object; similarity to the trained map), ``blank``,
        ``between`` (object; trained maps of different objects), ``left_out``, ``ignores_weights`` and
        ``table(rng=)``, one row per step.

    Raises
    ------
    InputError
        If fewer than two objects have a map, or `draws` is below 1.
    """
    if len(images) < 2 or draws < 1:
        raise InputError(f"images must be 2 or more and draws at least 1, got {len(images)} and {draws}")
    trained = maps(model, images, **options)
    if isinstance(trained, ClassActivation):
        options |= {"target": trained.codes, "layer": trained.layer}
    trained = np.asarray(trained)
    shown = trained.any(axis=(1, 2))
    if np.sum(shown) < 2:
        raise InputError(
            f"maps must show something for 2 objects or more, {np.sum(~shown)} are blank; give more objects, "
            "another method, or a network that has learned something"
        )
    names: tuple[str, ...] = ("trained",)
    parts: dict[str, list] = {"rank": [], "structure": [], "blank": []}  # each (draw, step, object)
    for _ in range(draws):
        copied = replace(model, network=copy.deepcopy(model.network))
        stages, steps = [trained[shown]], _steps(copied)
        for _, weights in steps:
            _randomise(weights, rng)
            stages.append(np.asarray(maps(copied, images, **options))[shown])
        names = ("trained", *(name for name, _ in steps))
        parts["rank"].append([rank_correlation(stages[0], stage) for stage in stages])
        parts["structure"].append([structural_similarity(stages[0], stage) for stage in stages])
        parts["blank"].append([~stage.any(axis=(1, 2)) for stage in stages])
    between = rank_correlation(trained[shown], np.roll(trained[shown], 1, axis=0))
    arrays = {name: np.array(values) for name, values in parts.items()}
    return Randomisation(steps=names, between=between, left_out=int(np.sum(~shown)), **arrays)


def randomise(model: Model, *, rng: np.random.Generator) -> Model:
    """A copy whose layers all have random weights, drawn as those of `randomisation_check`."""
    copied = replace(model, network=copy.deepcopy(model.network))
    for _, weights in _steps(copied):
        _randomise(weights, rng)
    return copied


def _steps(model: Model) -> list[tuple[str, list[Tensor]]]:
    """Layers from the last to the first, each with its own weights, in a limited number of groups."""
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
    groups = np.array_split(np.arange(len(owned)), min(_MOST_STEPS, len(owned)))
    return [(owned[group[-1]][0], [p for i in group for p in owned[i][1]]) for group in groups]


def _randomise(weights: list[Tensor], rng: np.random.Generator) -> None:
    with torch.no_grad():
        for tensor in weights:
            noise = torch.from_numpy(rng.standard_normal(tuple(tensor.shape), dtype=np.float32))
            spread = tensor.std(correction=0) if tensor.numel() > 1 else tensor.abs().sum()
            tensor.copy_(tensor.mean() + spread * noise.to(tensor.device, tensor.dtype))


@dataclass(frozen=True)
class Deletion:
    """Drop of the explained class's probability without some pixels."""

    shares: np.ndarray  # (share,), of the pixels that were blanked
    drop: np.ndarray  # (object, share), without the highest pixels of the object's map
    reference: np.ndarray  # (object, share), without as many other pixels, mean over the shifts

    def table(self, *, rng: np.random.Generator) -> Table:
        """Mean drops, and their difference with a 95 % interval from a bootstrap over the objects.

        One row per share: ``share``, ``drop``, ``reference``, ``difference``, ``difference_low``,
        ``difference_high``.
        """
        weights = object_shares(len(self.drop), rng)
        difference = self.drop - self.reference
        bounds = interval(weights @ difference)
        means = {"drop": self.drop.mean(0), "reference": self.reference.mean(0)}
        means |= {"difference": difference.mean(0), "difference_low": bounds[0], "difference_high": bounds[1]}
        return Table({"share": self.shares} | means)


def deletion(
    model: Model,
    images: Images,
    maps: ArrayLike,
    *,
    rng: np.random.Generator,
    target: Target = None,
    shares: Sequence[float] = (0.02, 0.05, 0.1, 0.2),
    **computing: Unpack[Computing],
) -> Deletion:
    """Blank the pixels that a map ranks highest, in all bands, and compare with blanking others.

    Blank pixels hold empty sky. The reference is the same hole elsewhere, five times: the map is moved by a
    quarter of the image or more along both axes, around the edges. (Scattered blank pixels are something that
    no network has seen, and may hurt more than any hole.)

    Parameters
    ----------
    model : Model
        Any network.
    images : Sample, or array of uint8, shape (n, band, y, x)
        Normalised images.
    maps : array_like, shape (n, y, x)
        Maps of the same objects at the images' size; equal pixels are ranked at random.
    rng : Generator
        Draws the references.
    target : str, int, sequence of these, or None
        The class, see `labkit.explain.class_activation`.
    shares : sequence of float
        Shares of the pixels to blank, between 0 and 1.
    **computing
        See `labkit.explain`.

    Returns
    -------
    Deletion
        ``drop`` and ``reference`` (object, share), and ``table(rng=)``, one row per share.

    Raises
    ------
    InputError
        If maps and images differ in shape, or a share is not between 0 and 1.
    """
    ready = prepare(model, images, **computing)
    maps, wanted = np.asarray(maps), np.asarray(shares, dtype=np.float64)
    if maps.shape != (len(ready), *ready.image_shape):
        raise InputError(
            f"maps must have the images' shape {(len(ready), *ready.image_shape)}, got {maps.shape}"
        )
    if wanted.ndim != 1 or not len(wanted) or (wanted <= 0).any() or (wanted >= 1).any():
        raise InputError(f"shares must lie between 0 and 1, got {list(shares)}")
    codes = ready.codes(target)
    drop, reference = (np.empty((len(ready), len(wanted))) for _ in range(2))
    for rows, levels in ready.pieces():
        before = ready.probabilities(levels)
        used = before.argmax(1) if codes is None else codes[rows]
        each = np.arange(len(used)), used
        orders = [_order(maps[rows], rng)]
        orders += [_order(_shifted(maps[rows], rng), rng) for _ in range(_SHIFTS)]
        for column, share in enumerate(wanted):
            holes = (_blanked(levels, order, share, ready.model.sky) for order in orders)
            after = [ready.probabilities(hole)[each] for hole in holes]
            drop[rows, column] = before[each] - after[0]
            reference[rows, column] = before[each] - np.mean(after[1:], axis=0)
    return Deletion(wanted, drop, reference)


def _shifted(maps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    ny, nx = maps.shape[1:]
    shifts = [[rng.integers(n // 4, n - n // 4 + 1) for n in (ny, nx)] for _ in maps]
    return np.stack([np.roll(one, shift, (0, 1)) for one, shift in zip(maps, shifts, strict=True)])


def _order(maps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels from the highest to the lowest, shape (n, y * x); equal ones in random order."""
    flat = maps.reshape(len(maps), -1)
    return np.lexsort((rng.random(flat.shape), -flat), axis=1)


def _blanked(levels: Tensor, order: np.ndarray, share: float, sky: int) -> Tensor:
    n, bands, ny, nx = levels.shape
    gone = torch.from_numpy(order[:, : max(1, round(share * ny * nx))].copy()).to(levels.device)
    flat = levels.reshape(n, bands, ny * nx).clone()
    return flat.scatter_(2, gone[:, None].expand(-1, bands, -1), sky).reshape(levels.shape)
