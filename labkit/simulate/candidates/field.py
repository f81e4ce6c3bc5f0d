"""A candidate in its field: the circumstances, the candidate, and what happens to lie around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.instruments.epic import PN
from labkit.simulate.candidates.candidate import Candidate, cluster_scene, draw_candidate
from labkit.simulate.candidates.positions import draw_position
from labkit.simulate.sky.clusters import cluster_components, draw_cluster
from labkit.simulate.sky.xray_sources import field_agn
from labkit.simulate.xmm.artefacts import spurious_counts
from labkit.simulate.xmm.pointing import Pointing, draw_pointing

__all__ = ["CandidateField", "draw_field"]


@dataclass(frozen=True)
class CandidateField:
    """A candidate with its circumstances and surroundings, before it is observed.

    Parameters
    ----------
    pointing : Pointing
        Circumstances of the observation.
    pixel_arcsec : float
        Pixel size of the archive's X-ray image.
    x, y : float
        Position of the candidate, arcmin from the nominal pointing towards west and north.
    candidate, surroundings : Candidate
        The candidate, and what the field holds besides.
    """

    pointing: Pointing
    pixel_arcsec: float
    x: float
    y: float
    candidate: Candidate
    surroundings: Candidate

    def row(self) -> dict[str, float]:
        """Catalogue entries; what does not apply to the candidate is NaN."""
        ra, dec = self.pointing.sky(self.x, self.y)
        truth = dict.fromkeys(
            ("redshift", "m500", "luminosity", "flux", "r500_arcmin", "core_arcsec"), np.nan
        )
        truth |= self.candidate.truth
        return {
            "ra": ra,
            "dec": dec,
            "redshift": truth["redshift"],
            "m500": truth["m500"],
            "luminosity": truth["luminosity"],
            "flux": truth["flux"],
            "r500": truth["r500_arcmin"],
            "core_radius": truth["core_arcsec"],
            "off_axis": float(PN.off_axis(*self.pointing.to_detector(self.x, self.y))),
            "exposure": self.pointing.exposure_s["mos1"] / 1e3,
            "background": sum(self.pointing.background_rate(PN)),
            "out_of_time_subtracted": self.pointing.out_of_time_subtracted,
            "native_pixel_scale": self.pixel_arcsec,
            "position_angle": self.pointing.position_angle_deg,
            "galactic_latitude": self.pointing.galactic_latitude_deg,
        }


def draw_field(rng: np.random.Generator, true_class: str) -> CandidateField:
    """Draw a candidate and all that surrounds it; its circumstances come first, whatever its class.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    true_class : str
        One of `labkit.simulate.candidates.candidate.CLASSES`.

    Returns
    -------
    CandidateField
        What is to be observed, and how.
    """
    pointing, pixel = draw_pointing(rng), float(rng.uniform(2.5, 4.4))
    x, y = draw_position(rng, pointing, edge=true_class == "edge")
    surroundings = _surroundings(rng, pointing, x, y)
    return CandidateField(
        pointing, pixel, x, y, draw_candidate(rng, true_class, pointing, x=x, y=y), surroundings
    )


def _surroundings(rng: np.random.Generator, pointing: Pointing, x: float, y: float) -> Candidate:
    """What the field holds whatever the candidate is: AGN, a target cluster, minor detector flaws."""
    components, scenes, spurious = field_agn(rng, x=x, y=y, half=4.5), [], []
    if rng.random() < 0.25:
        limit = float(np.exp(rng.uniform(np.log(1e-13), np.log(8e-12))))
        target = draw_cluster(rng, low_z=limit > 8e-13 or rng.random() < 0.6, flux_limit=limit)
        centre = np.asarray(pointing.to_image(*PN.axis)) + rng.normal(0, 1.2, 2)
        away = centre - (x, y)
        distance = float(np.hypot(*away))
        if distance < 2.0:
            away *= rng.uniform(2.0, 4.0) / distance
        if np.hypot(*away) < 3.5 + 1.5 * target.r500_arcmin:
            components += cluster_components(target, x=float(x + away[0]), y=float(y + away[1]))
            scenes.append(cluster_scene(target, centre=tuple(60 * away)))
    for _ in range(rng.poisson(0.12)):
        place = np.array([x, y]) + rng.uniform(-3.3, 3.3, 2)
        kind, counts = str(rng.choice(("column", "pixel"))), float(np.exp(rng.uniform(np.log(8), np.log(80))))
        spurious.append(spurious_counts(rng, pointing, kind=kind, x=place[0], y=place[1], counts=counts))
    return Candidate(components, scenes, spurious)
