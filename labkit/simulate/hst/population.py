"""All bodies of a field, which of them are detected, and which get a redshift."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy.table import Row, Table, vstack
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import expit

from labkit.errors import InputError
from labkit.simulate.hst.bands import BANDS, PIXEL_SCALE_ARCSEC
from labkit.simulate.hst.clusters import Zones
from labkit.simulate.hst.galaxies import (
    BRIGHTEST,
    FAINTEST,
    SPEED_OF_LIGHT,
    V_MAX,
    bright_share,
    brightest_galaxy,
    count_field,
    draw_arcs,
    draw_field,
    draw_members,
    draw_stars,
    members_within,
)
from labkit.simulate.numbers import read_numbers
from labkit.simulate.painting import encircled, nearest_index

_REFERENCE_ARCSEC = 130.0  # size of the fields of Angora et al. (2020), Fig. 1
#: Members with F814 < 25 for each with a spectrum: 372 were found beside 812 (section 5).
_RICHNESS = (812 + 372) / 812
#: Chance of a spectrum from which a body counts as a bright target; how many of these there must be for each
#: spectrum of a non-member (a third are faint: Table 3 of the paper) and of a member, beside four to spare.
_TARGET, _SPARE = 0.3, (0.65, 1.2)
#: Interlopers for each member brighter than F814 = 25, and field galaxies among which they are sought.
_INTERLOPERS = read_numbers("hst/galaxies")["interlopers"]["share"]
_INTERLOPER_DRAWS = 20_000
#: Batches in which they are looked for; more only helps where a field has next to no room for them.
_BATCHES = 200
#: Signal-to-noise ratio at which half of the sources are found; least error of a place, and of a magnitude.
_THRESHOLD, _LEAST_ERROR_ARCSEC, _CALIBRATION = 5.0, 0.006, 0.02
#: Values of ``z_quality``.
QUALITIES = {
    0: "no spectrum",
    1: "insecure, often wrong: not counted in Table 1",
    2: "likely",
    3: "secure",
    9: "one emission line",
}
#: Error of a redshift over (1 + z); shares of wrong redshifts among the likely and the insecure; insecure
#: redshifts for each that counts.
_Z_ERROR, _WRONG_LIKELY, _WRONG_INSECURE, _INSECURE = 3e-4, 0.03, 0.4, 0.05


def is_member(redshift: NDArray, cluster_redshift: float) -> NDArray:
    """Whether |c (z - z_cl) / (1 + z_cl)| <= 3000 km/s (Angora et al. 2020, section 2); same shape."""
    velocity = SPEED_OF_LIGHT * (np.asarray(redshift) - cluster_redshift) / (1 + cluster_redshift)
    return np.abs(velocity) <= V_MAX


def wanted_spectra(cluster: Row, *, scale: float) -> NDArray:
    """Numbers of spectra from Table 1 of Angora et al. (2020), times `scale`; (3, 2).

    Zones 0 to 2 of `Zones.zone`, then non-members and members.
    """
    inner = "mixed" if cluster["frontier_only"] else "all"
    outer = "mixed" if cluster["frontier_only"] else "acs"
    rows = [
        [round(scale * float(cluster[f"{name}_{kind}"])) for kind in ("non_members", "members")]
        for name in (outer, "mixed", inner)
    ]
    nested = np.array([*rows, [0, 0]])
    return nested[:-1] - nested[1:]


def _spectral_completeness(table: Table) -> NDArray:
    """Relative chance (n,) that a body has a spectrum.

    It falls at F814 24 to 25, later where emission lines help; 0 for stars and diffuse light; redshifts 1.4
    to 2.9 have no lines in the optical.
    """
    magnitude, z = np.asarray(table["magnitude"]), np.asarray(table["redshift"])
    kind = np.asarray(table["kind"])
    continuum = 0.85 / (1 + np.exp((magnitude - 24.3) / 0.3))
    lines = np.isin(kind, ("late", "arc")) & ((z < 1.4) | (z > 2.9))
    deep = np.where(table["origin"] == "cluster", 0.03, 0.12) / (1 + np.exp((magnitude - 27.0) / 0.4))
    chance = continuum + np.where(lines, deep, 0.0)
    return np.where(np.isin(kind, ("star", "icl")), 0.0, chance)


def populate(rng: Generator, cluster: Row, zones: Zones, *, scale: float) -> Table:
    """Draw all bodies of a field.

    The number of members follows from that of spectra and from section 5 of Angora et al. (2020), the number
    of field galaxies from counts; those of them that pass for members by their velocity are a share of the
    members (``interlopers`` in ``galaxies.toml``). Where a zone then holds too few targets for Table 1,
    further ones are drawn from the same populations: the table is a condition, not an accident.
    """
    half = zones.size_px * PIXEL_SCALE_ARCSEC / 2
    angle = rng.uniform(0, 180)
    redshift = float(cluster["redshift"])
    spectra = max(int(cluster["acs_members"]), int(cluster["mixed_members"]))
    reach = members_within(cluster, half, _REFERENCE_ARCSEC / 2)
    expected = _RICHNESS * spectra * reach / bright_share(redshift)
    sky = float(count_field(FAINTEST) - count_field(BRIGHTEST)) * (2 * half / 60) ** 2

    def members(n: int) -> Table:
        return draw_members(rng, cluster, n, half_arcsec=half, angle=angle)

    def field(n: int) -> Table:
        drawn = draw_field(rng, n, half_arcsec=half)
        # The cluster's own members are drawn apart.
        return drawn[~is_member(drawn["redshift"], redshift)]

    drawn = [field(rng.poisson(sky)), members(rng.poisson(expected))]
    passing = _INTERLOPERS * expected * bright_share(redshift) / reach * (2 * half / _REFERENCE_ARCSEC) ** 2
    wanted = wanted_spectra(cluster, scale=scale)
    for column, draw in enumerate((field, members)):
        targets = _SPARE[column] * wanted[:, column] + 4 * (wanted[:, column] > 0)
        drawn.append(_further(drawn[column], draw, zones, targets))
    drawn += [
        _interlopers(rng, cluster, passing, half_arcsec=half),
        brightest_galaxy(rng, cluster, angle=angle),
        draw_stars(rng, half_arcsec=half),
        draw_arcs(rng, cluster, half_arcsec=half),
    ]
    table = vstack(drawn)
    return table[rng.permutation(len(table))]


def _interlopers(rng: Generator, cluster: Row, bright: float, *, half_arcsec: float) -> Table:
    """Field galaxies within the members' velocities, about `bright` of them brighter than F814 = 25."""
    drawn = draw_field(rng, _INTERLOPER_DRAWS, half_arcsec=half_arcsec)
    passing = drawn[is_member(drawn["redshift"], float(cluster["redshift"]))]
    share = bright / max(np.sum(passing["magnitude"] < 25), 1)
    return passing[: rng.binomial(len(passing), min(share, 1.0))]


def _further(table: Table, draw: Callable[[int], Table], zones: Zones, wanted: NDArray) -> Table:
    """Further bodies that are bright enough, for the zones that hold fewer of them than wanted."""
    kept = [table[:0]]
    targets = _zone(table, zones)[_spectral_completeness(table) > _TARGET]
    short = np.ceil(wanted).astype(int) - np.array([np.sum(targets == zone) for zone in range(3)])
    for _ in range(_BATCHES):
        if (short <= 0).all():
            break
        batch = draw(200)
        place, bright = _zone(batch, zones), _spectral_completeness(batch) > _TARGET
        for zone in np.flatnonzero(short > 0):
            rows = np.flatnonzero((place == zone) & bright)[: short[zone]]
            short[zone] -= len(rows)
            kept.append(batch[rows])
    return vstack(kept)


def _zone(table: Table, zones: Zones) -> NDArray:
    x, y = (np.asarray(table[f"{name}_arcsec"]) / PIXEL_SCALE_ARCSEC for name in ("x", "y"))
    return zones.zone(x, y)


@dataclass(frozen=True)
class Detections:
    """What a detection measures, for all bodies."""

    found: NDArray  # (n,) whether the body is on the list
    x: NDArray  # (n,) measured place, arcsec from the centre to the west
    y: NDArray  # (n,) and to the north
    magnitude: NDArray  # (n,) measured, F814
    magnitude_error: NDArray  # (n,) that would be quoted


def detect(rng: Generator, table: Table, *, sky_sigma: float) -> Detections:
    """Draw which bodies are found, and measure those that are.

    A body is found when it stands out from the sky (a smooth step at signal-to-noise ratio 5 within its
    half-light ellipse) and when no brighter body has a higher surface brightness at its place. Nothing here
    depends on what a body is, but for diffuse light, which is no source.
    """
    band = BANDS["F814"]
    magnitude = np.asarray(table["magnitude"])
    width, axis_ratio = _seen_shape(table)
    area = 2 * np.pi * (width / PIXEL_SCALE_ARCSEC) ** 2 * axis_ratio
    ratio = 0.5 * band.flux(magnitude) / (sky_sigma * np.sqrt(area))
    error = 1.09 / np.maximum(2 * ratio, 1e-3)
    seen = rng.random(len(table)) < expit((ratio - _THRESHOLD) / 0.7)
    found = seen & ~_outshone(table) & (np.asarray(table["kind"]) != "icl")
    place = np.hypot(_LEAST_ERROR_ARCSEC, 0.5 * width / np.maximum(ratio, 1))
    x, y = (np.asarray(table[f"{axis}_arcsec"]) + place * rng.normal(size=len(table)) for axis in ("x", "y"))
    noisy = magnitude + np.clip(np.hypot(error, _CALIBRATION) * rng.normal(size=len(table)), -1, 1)
    return Detections(found, x, y, noisy, np.hypot(error, _CALIBRATION))


def _seen_shape(table: Table) -> tuple[NDArray, NDArray]:
    """Dispersion (arcsec) along the major axis, and axis ratio, of bodies seen through the optics."""
    core, size = BANDS["F814"].fwhm_arcsec / 2.355, 0.85 * np.asarray(table["re_arcsec"])
    minor = (size * np.asarray(table["axis_ratio"])) ** 2 + core**2
    return np.hypot(size, core), np.sqrt(minor / (size**2 + core**2))


def _outshone(table: Table) -> NDArray:
    """Whether a brighter body has a higher surface brightness where a body lies."""
    flux = 10 ** (-0.4 * np.asarray(table["magnitude"]))
    width, flattening = _seen_shape(table)
    own = 0.5 * flux / (2 * np.pi * width**2 * flattening)
    x, y = (np.asarray(table[f"{axis}_arcsec"]) for axis in ("x", "y"))
    hidden = np.zeros(len(table), dtype=bool)
    size, index = np.asarray(table["re_arcsec"]), nearest_index(np.asarray(table["sersic_n"]))
    angle = np.radians(np.asarray(table["position_angle"]))
    for i in np.flatnonzero((np.asarray(table["kind"]) != "arc") & (np.asarray(table["magnitude"]) < 25)):
        dx, dy = x - x[i], y - y[i]
        along = np.cos(angle[i]) * dy - np.sin(angle[i]) * dx
        across = (np.sin(angle[i]) * dy + np.cos(angle[i]) * dx) / max(float(table["axis_ratio"][i]), 0.1)
        radius = np.hypot(np.hypot(along, across), 0.05)
        near = (radius < 12 * max(size[i], 0.1)) & (flux < flux[i])
        scale = max(size[i], 0.08)
        inner, outer = radius[near] / scale, 1.1 * radius[near] / scale
        ring = encircled(outer, float(index[i])) - encircled(inner, float(index[i]))
        axis_ratio = max(float(table["axis_ratio"][i]), 0.1)
        surface = flux[i] * ring / (np.pi * 0.21 * radius[near] ** 2 * axis_ratio)
        hidden[near] |= surface > own[near]
    return hidden


@dataclass(frozen=True)
class Spectra:
    """Measured redshifts of all bodies."""

    redshift: NDArray  # (n,) NaN where there is no spectrum
    quality: NDArray  # (n,) one of `QUALITIES`


def take_spectra(
    rng: Generator, table: Table, cluster: Row, *, zone: NDArray, found: NDArray, scale: float
) -> Spectra:
    """Choose targets and measure their redshifts.

    In every zone of the field, as many members and non-members (by measured redshift) as Table 1 of Angora et
    al. (2020) says get a spectrum of quality 2 or better; which of them is a draw with the weights of
    `_spectral_completeness`. Insecure spectra come on top.
    """
    chance = np.where(found, _spectral_completeness(table), 0.0)
    quality = _draw_quality(rng, table)
    redshift = _measure(rng, table, quality)
    member = is_member(redshift, float(cluster["redshift"]))
    # The largest of log(weight) + Gumbel noise are a weighted draw without replacement.
    with np.errstate(divide="ignore"):
        rank = np.log(chance) + rng.gumbel(size=len(table))
    taken = np.zeros(len(table), dtype=bool)
    wanted = wanted_spectra(cluster, scale=scale)
    for place in range(3):
        for kind, label in enumerate(("non-members", "members")):
            there = (zone == place) & (member == bool(kind))
            rows = np.flatnonzero(there & np.isfinite(rank) & (quality > 1))
            n = int(wanted[place, kind])
            if len(rows) < n:
                raise InputError(
                    f"scale must leave a source for each spectrum, got {scale} and {len(rows)} {label} for "
                    f"{n} spectra of {cluster['short']}; choose a smaller scale or a larger field"
                )
            taken[rows[np.argsort(-rank[rows], kind="stable")[:n]]] = True
    extra = np.flatnonzero((quality == 1) & np.isfinite(rank) & (zone >= 0))
    taken[extra[np.argsort(-rank[extra], kind="stable")[: round(_INSECURE * wanted.sum())]]] = True
    return Spectra(np.where(taken, redshift, np.nan), np.where(taken, quality, 0))


def _draw_quality(rng: Generator, table: Table) -> NDArray:
    """Quality that a spectrum of each body would have: worse for the faint, single lines for late types."""
    n = len(table)
    faint = np.clip((np.asarray(table["magnitude"]) - 21) / 4, 0.1, 1)
    lines = np.isin(np.asarray(table["kind"]), ("late", "arc")) & (rng.random(n) < 0.5 * faint)
    quality = np.where(lines, 9, 3)
    quality[rng.random(n) < 0.25 * faint] = 2
    quality[rng.random(n) < 0.2 * faint] = 1
    return quality


def _measure(rng: Generator, table: Table, quality: NDArray) -> NDArray:
    """Redshifts with errors; some of those that are not secure are of another line."""
    true = np.asarray(table["redshift"])
    measured = true + _Z_ERROR * (1 + true) * rng.normal(size=len(true))
    chance = np.select([quality == 1, quality == 2], [_WRONG_INSECURE, _WRONG_LIKELY], 0.0)
    wrong = rng.random(len(true)) < chance
    # H-alpha or [O III] taken for [O II], or the reverse.
    mistaken = (1 + true) * rng.choice(np.array([6563, 5007, 3727]) / 4300, size=len(true)) - 1
    return np.where(wrong, np.clip(mistaken, 0.01, None), measured)
