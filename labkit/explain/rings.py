"""Where a network looks in images of clusters, in kpc: maps on one scale, profiles, and rings taken away.

Su et al. (2020, Fig. 9) show mean class activation maps and their radial profiles. A centred image gives a
centred map to any network, so the same belongs beside it for networks that know nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

import astropy.units as u
import numpy as np
import torch
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.explain.bands import interval, object_shares
from labkit.explain.layers import Computing, Target, prepare
from labkit.images import regrid
from labkit.images.coordinates import pixel_kpc
from labkit.learn.model import Model
from labkit.sample import Sample
from labkit.tables import text


def ring_numbers(sample: Sample, edges_kpc: Sequence[float]) -> NDArray[np.int64]:
    """Ring in which each pixel lies, (n, y, x), about the centre of the image; -1 outside all."""
    edges = np.asarray(edges_kpc, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or edges[0] < 0 or (np.diff(edges) <= 0).any():
        raise InputError(f"edges_kpc must be two radii or more that rise from 0 on, got {list(edges_kpc)}")
    ny, nx = sample.shape[2:]
    y, x = np.indices((ny, nx))
    pixels = np.hypot(y - (ny - 1) / 2, x - (nx - 1) / 2)
    rings = np.searchsorted(edges, pixels * pixel_kpc(sample)[:, None, None], side="right") - 1
    rings[rings == len(edges) - 1] = -1
    for number in range(len(edges) - 1):
        if not (rings == number).any((1, 2)).all():
            raise InputError(
                f"edges_kpc must leave a pixel in each ring, got none in {edges[number]:g} to "
                f"{edges[number + 1]:g} kpc; take wider rings"
            )
    return rings


def common_scale(maps: ArrayLike, sample: Sample, *, width_kpc: float, size_px: int) -> NDArray[np.float32]:
    """Maps (n, y, x) of objects at any redshift on one grid in kpc, (n, size_px, size_px)."""
    wanted = width_kpc / size_px
    pairs = zip(np.asarray(maps), pixel_kpc(sample), strict=True)
    return np.stack([regrid(one, scale=wanted / kpc, shape=(size_px, size_px)) for one, kpc in pairs])


def ring_means(maps: ArrayLike, sample: Sample, *, edges_kpc: Sequence[float]) -> NDArray[np.float64]:
    """Mean of each map in rings over its mean in all of them, (n, ring); NaN for a blank map.

    1 everywhere is a map that points nowhere.
    """
    values, rings = np.asarray(maps, dtype=float), ring_numbers(sample, edges_kpc)
    if values.shape != rings.shape:
        raise InputError(f"maps must have the images' shape {rings.shape}, got {values.shape}")
    means = [np.mean(values, axis=(1, 2), where=rings == number) for number in range(len(edges_kpc) - 1)]
    with np.errstate(invalid="ignore"):
        return np.column_stack(means) / np.mean(values, axis=(1, 2), where=rings >= 0)[:, None]


def ring_occlusion(
    model: Model,
    images: Sample,
    *,
    edges_kpc: Sequence[float],
    rng: np.random.Generator,
    target: Target = "predicted",
    donors: Sample | None = None,
    draws: int = 3,
    **computing: Unpack[Computing],
) -> NDArray[np.float64]:
    """How much the probability of a class falls when a ring is replaced by another object's, (object, ring).

    The mean over so many `draws` of other objects, from `donors` of the same grey levels and size, by default
    from the `images`, which are normalised and have a ``redshift``; negative where the class becomes more
    probable. `target` is as for `labkit.explain.class_activation`, `computing` see `labkit.explain`.
    """
    if draws < 1:
        raise InputError(f"draws must be at least 1, got {draws}")
    others = images if donors is None else donors
    if others.shape[2:] != images.shape[2:] or others.pixel_scale != images.pixel_scale:
        raise InputError(
            f"donors must have the images' size {images.shape[2:]} and pixels, got {others.shape[2:]}"
        )
    chosen = np.stack(
        [rng.choice(_others(others, name), draws) for name in text(images.catalogue["object_id"])]
    )  # (object, draw)
    ready, given = prepare(model, images, **computing), prepare(model, others, **computing)
    codes, rings = ready.codes(target), torch.from_numpy(ring_numbers(images, edges_kpc))
    theirs = torch.cat([levels.cpu() for _, levels in given.pieces()])
    drop = np.zeros((len(ready), len(edges_kpc) - 1))
    for rows, levels in ready.pieces():
        before = ready.probabilities(levels)
        each = np.arange(len(before)), before.argmax(1) if codes is None else codes[rows]
        for number in range(drop.shape[1]):
            inside = (rings[rows] == number)[:, None].to(levels.device)
            for draw in range(draws):
                other = theirs[torch.from_numpy(chosen[rows, draw])].to(levels.device)
                after = ready.probabilities(torch.where(inside, other, levels))
                drop[rows, number] += (before[each] - after[each]) / draws
    return drop


def _others(donors: Sample, name: str) -> NDArray[np.int64]:
    found = np.flatnonzero(text(donors.catalogue["object_id"]) != name)
    if not len(found):
        raise InputError(f"donors must hold an object beside {str(name)!r}, got none; give more of them")
    return found


def over_folds(
    compute: Callable[..., ArrayLike],
    models: Mapping[int, Model] | Model,
    sample: Sample,
    folds: ArrayLike,
    *,
    target: Sequence[str],
    **options: Any,
) -> NDArray:
    """What ``compute(model, images, target=, **options)`` gives for each object, by the model of its fold.

    One row per object of the Sample. A single model explains all, whatever their folds; a fold without a
    model is an error.
    """
    numbers_of, wanted = np.asarray(folds), np.asarray(target)
    if not len(sample) or len(numbers_of) != len(sample) or len(wanted) != len(sample):
        raise InputError(
            f"folds and target must be one for each object, at least one, got {len(numbers_of)} and "
            f"{len(wanted)} for {len(sample)}"
        )
    if isinstance(models, Model):
        return np.asarray(compute(models, sample, target=wanted.tolist(), **options))
    if missing := sorted(set(numbers_of.tolist()) - set(models)):
        raise InputError(f"models must hold one for each fold, got none for {missing}")
    found: Any = None
    for fold in np.unique(numbers_of).tolist():
        rows = np.flatnonzero(numbers_of == fold)
        part = np.asarray(compute(models[fold], sample.select(rows), target=wanted[rows].tolist(), **options))
        found = np.empty((len(sample), *part.shape[1:]), dtype=part.dtype) if found is None else found
        found[rows] = part
    return np.asarray(found)


def ring_table(
    values: Mapping[str, ArrayLike], classes: ArrayLike, *, edges_kpc: Sequence[float],
    rng: np.random.Generator,
) -> Table:  # fmt: skip
    """Means over the objects of each class, with 95 % intervals from a bootstrap over them.

    `values` (object, ring) of the same objects by several networks. One row per ``network``, ``class`` and
    ring: ``radius`` (kpc, its middle), ``objects``, ``value``, ``value_low``, ``value_high``; objects with
    NaN are left out.
    """
    edges, names = np.asarray(edges_kpc, dtype=float), text(classes)
    radii, rows = (edges[1:] + edges[:-1]) / 2, []
    for network, given in values.items():
        for name in dict.fromkeys(names.tolist()):
            part = np.asarray(given)[names == name]
            part = part[np.isfinite(part).all(1)]
            if not len(part):
                continue
            bounds = interval(object_shares(len(part), rng) @ part)
            for radius, *cells in zip(radii, part.mean(0), *bounds, strict=True):
                rows.append((network, name, radius, len(part), *cells))
    if not rows:
        raise InputError("values must be finite for an object at least, got none; the maps are blank")
    columns = ("network", "class", "radius", "objects", "value", "value_low", "value_high")
    found = Table(rows=rows, names=columns)
    found["radius"].unit = u.kpc
    return found
