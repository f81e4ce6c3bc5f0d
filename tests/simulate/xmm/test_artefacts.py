"""Artefacts fall where they are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labkit.simulate.xmm.artefacts import spurious_counts, streak_source
from labkit.simulate.xmm.pointing import draw_pointing


@pytest.mark.parametrize("kind", ["column", "pixel", "arc", "chip"])
def test_artefacts_fall_on_the_candidate(kind):
    pointing = draw_pointing(np.random.default_rng(1))
    place = pointing.to_image(4.0, 0.5)
    near = []
    for seed in range(10):
        drawn = spurious_counts(
            np.random.default_rng(seed), pointing, kind=kind, x=place[0], y=place[1], counts=60
        )
        near.append((np.hypot(drawn.x - place[0], drawn.y - place[1]) < 1.5).sum())
    assert min(near) > 5


def test_a_streak_source_shares_the_column_of_the_candidate():
    pointing = replace(
        draw_pointing(np.random.default_rng(2)),
        bad_columns={k: np.empty((0, 4)) for k in ("pn", "mos1", "mos2")},
    )
    x, y = pointing.to_image(1.0, -3.0)
    source = streak_source(np.random.default_rng(3), pointing, x=x, y=y)
    u, v = pointing.to_detector(source.x, source.y)
    assert u == pytest.approx(1.0)
    assert abs(v + 3) > 1.2
    assert streak_source(np.random.default_rng(3), pointing, x=30.0, y=30.0) is None
