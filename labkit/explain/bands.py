"""Which band a filter answers to: a measured number instead of an impression.

Kosiba et al. (2020, section 5.4) read from Fig. 12 that some filters "search primarily for X-ray emission and
others for optical emission". Here each filter is asked: how much does your map change when one band is taken
away?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.errors import InputError
from labkit.explain.inputs import Images, Prepared, prepare
from labkit.explain.resampling import interval, multiplicities
from labkit.learn.model import Model
from labkit.tables import Table

__all__ = ["DEAD", "ONE_BAND", "filter_index", "index_summary"]

#: Beyond this index one band moves a filter more than three times as much as the other.
ONE_BAND = 0.5
#: A filter that both bands move less than this share of the layer's most moved filter is dead.
DEAD = 1e-3


def filter_index(
    model: Model,
    images: Images,
    *,
    layers: Sequence[str],
    rng: np.random.Generator,
    bands: tuple[str, str] | None = None,
    replace: str = "sky",
    one_band: float = ONE_BAND,
    dead: float = DEAD,
    resamples: int = 1000,
    **computing: Any,
) -> Table:
    """Where each filter stands between two bands, with a bootstrap interval over the objects.

    With D_b the root mean square, over all pixels and objects, of the change of a filter's map when band b is
    replaced, the index is ``(D_1 - D_2) / (D_1 + D_2)``: +1 for a filter that only the first band moves, -1
    for one that only the second moves.

    Parameters
    ----------
    model : Model
        Any network with two bands or more.
    images : Sample, or array of uint8, shape (n, band, y, x)
        Normalised images; some tens of objects are enough.
    layers : sequence of str
        Layers to measure, from `labkit.explain.layers`.
    rng : Generator
        Draws the resamples, and the objects of ``replace="shuffle"``.
    bands : tuple of str, optional
        The two bands; by default the model's first and second (X-ray, optical).
    replace : str
        ``"sky"``: the band becomes empty sky; counts its background, too. ``"shuffle"``: the band of another
        object takes its place; counts only what differs between objects.
    one_band : float
        From this |index| on, a filter is of one band.
    dead : float
        A filter is dead if sqrt(D_1^2 + D_2^2) is less than this share of the layer's largest.
    resamples : int
        Of the bootstrap.
    **computing
        ``device``, ``precision``, ``batch_size`` and ``accept_normalisation``, see
        `labkit.explain.inputs.prepare`.

    Returns
    -------
    Table
        One row a filter: ``layer``, ``filter``, ``index``, ``index_low``, ``index_high`` (95 %; NaN for dead
        filters), ``kind`` (a band's name, ``"both"`` or ``"dead"``), ``firm`` (the whole interval lies in
        that kind) and ``change_<band>`` (D_b, in the layer's own units).

    Raises
    ------
    InputError
        If a layer, a band or `replace` is unknown, or there is no object (two for shuffling).
    """
    if replace not in ("sky", "shuffle"):
        raise InputError(f"replace must be 'sky' or 'shuffle', got {replace!r}")
    if isinstance(layers, str) or not len(layers):
        raise InputError(f"layers must be one name or more in a list, got {layers!r}")
    ready = prepare(model, images, **computing)
    pair = _two_bands(model, bands)
    for name in layers:
        ready.opened.maps(name)
    squares = _squared_changes(ready, list(layers), pair, _others(len(ready), replace, rng))
    weights = multiplicities(len(ready), resamples, rng)
    parts = []
    for name in layers:
        parts.append(_rows(name, squares[name], pair, weights, one_band=one_band, dead=dead))
    columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Table(columns, meta={"bands": list(pair), "objects": len(ready), "replace": replace})


def _two_bands(model: Model, bands: tuple[str, str] | None) -> tuple[str, str]:
    known = model.experiment.named_bands
    pair = known[:2] if bands is None else tuple(bands)
    if len(pair) != 2 or len(set(pair)) != 2 or set(pair) - set(known):
        raise InputError(
            f"bands must be two of the model's, {known}, got {pair}; choose a network on two bands"
        )
    return pair[0], pair[1]


def _others(n: int, replace: str, rng: np.random.Generator) -> np.ndarray | None:
    """Another object for each: a random cycle, so that none stands for itself."""
    if replace == "sky":
        return None
    if n < 2:
        raise InputError(f"images must be two objects or more for replace='shuffle', got {n}")
    cycle, others = rng.permutation(n), np.empty(n, dtype=np.int64)
    others[cycle] = np.roll(cycle, 1)
    return others


def _squared_changes(
    ready: Prepared, layers: list[str], pair: tuple[str, str], others: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Mean square change of each object's maps without each band: layer -> (object, filter, 2)."""
    named = ready.model.experiment.named_bands
    columns = [named.index(band) for band in pair]
    found = {name: np.empty((len(ready), ready.opened.outputs[name].shape[0], 2)) for name in layers}
    donors = ready.reordered(others).batches() if others is not None else None
    for rows, batch in ready.batches():
        other = torch.zeros_like(batch) if donors is None else next(donors)[1]
        versions = [batch]
        for column in columns:
            changed = batch.clone()
            changed[:, column] = other[:, column]
            versions.append(changed)

        def measure(name: str, output: Tensor, rows: slice = rows) -> None:
            whole, *without = output.float().chunk(3)
            each = [(whole - part).square().mean((2, 3)) for part in without]
            found[name][rows] = torch.stack(each, -1).cpu().numpy()

        ready.run(torch.cat(versions), layers, measure)
    return found


def _rows(
    layer: str,
    squares: np.ndarray,
    pair: tuple[str, str],
    weights: np.ndarray,
    *,
    one_band: float,
    dead: float,
) -> dict[str, np.ndarray]:
    n_filters = squares.shape[1]
    change = np.sqrt(squares.mean(0))  # (filter, band)
    drawn = np.sqrt(np.einsum("rn,nfb->rfb", weights, squares))
    both = np.hypot(*change.T)
    alive = both > dead * both.max()
    bounds = interval(_index(drawn))
    kinds = np.array([*pair, "both", "dead"])
    kind = np.where(alive, _kind(_index(change), one_band), 3)
    firm = (_kind(bounds, one_band) == kind).all(0) | ~alive
    blank = np.where(alive, 0.0, np.nan)
    return {
        "layer": np.full(n_filters, layer),
        "filter": np.arange(n_filters),
        "index": _index(change) + blank,
        "index_low": bounds[0] + blank,
        "index_high": bounds[1] + blank,
        "kind": kinds[kind],
        "firm": firm,
        **{f"change_{band}": change[:, i] for i, band in enumerate(pair)},
    }


def _index(change: np.ndarray) -> np.ndarray:
    """(D_1 - D_2) / (D_1 + D_2) along the last axis; 0 where nothing changes."""
    total = change.sum(-1)
    return (change[..., 0] - change[..., 1]) / np.where(total > 0, total, 1)


def _kind(index: np.ndarray, one_band: float) -> np.ndarray:
    """0: first band, 1: second band, 2: both."""
    return np.where(index >= one_band, 0, np.where(index <= -one_band, 1, 2))


def index_summary(index: Table) -> Table:
    """How many filters of each layer answer to which band.

    Parameters
    ----------
    index : Table
        From `filter_index`.

    Returns
    -------
    Table
        One row a layer: ``layer``, ``filters``, a number for each band, ``both``, ``dead``, and ``median``
        (of the index of those that are not dead).
    """
    names = dict.fromkeys(str(name) for name in index["layer"])
    kinds = [*index.meta["bands"], "both", "dead"]
    rows = []
    for name in names:
        part = index[np.asarray(index["layer"]) == name]
        row: dict[str, Any] = {"layer": name, "filters": len(part)}
        row |= {kind: int(np.sum(np.asarray(part["kind"]) == kind)) for kind in kinds}
        alive = np.asarray(part["index"])[np.asarray(part["kind"]) != "dead"]
        rows.append(row | {"median": float(np.median(alive)) if len(alive) else np.nan})
    return Table(rows=rows)
