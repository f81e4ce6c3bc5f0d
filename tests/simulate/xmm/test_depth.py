"""The detection limit of an observation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labkit.instruments.epic import PN
from labkit.simulate.xmm.depth import flux_limit
from labkit.simulate.xmm.pointing import draw_pointing


def test_the_flux_limit_deepens_with_exposure_and_is_higher_for_extended_sources():
    short = replace(
        draw_pointing(np.random.default_rng(7)), exposure_s=dict.fromkeys(("pn", "mos1", "mos2"), 5e3)
    )
    short = replace(short, flare=8e-3)
    deep = replace(short, exposure_s=dict.fromkeys(("pn", "mos1", "mos2"), 2e4))
    x, y = short.to_image(PN.axis[0] + 7, PN.axis[1] + 7)
    assert flux_limit(deep, x=x, y=y)[0] < flux_limit(short, x=x, y=y)[0]
    assert flux_limit(short, x=x, y=y, extended=True)[0] > flux_limit(short, x=x, y=y)[0]
