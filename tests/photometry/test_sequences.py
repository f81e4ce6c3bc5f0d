"""Red sequences of several clusters at once."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError
from labkit.photometry import red_sequences
from labkit.photometry.red_sequence import colour_magnitude_relation

ZERO = {"A": 1.0, "B": 1.4}


@pytest.fixture
def galaxies() -> tuple[QTable, np.ndarray]:
    """Two clusters of 60 members with sequences of their own, bluer field, and one of two galaxies."""
    rng = np.random.default_rng(3)
    host = np.repeat(["A", "B", "few"], [100, 100, 2])
    member = [*np.tile(np.arange(100) < 60, 2).tolist(), True, True]
    m = rng.uniform(19, 25, len(host))
    red = np.array([ZERO.get(name, 1.0) for name in host]) - 0.03 * (m - 22) + rng.normal(0, 0.03, len(m))
    colour = np.where(member, red, red - rng.uniform(0.3, 1.0, len(m)))
    table = QTable({"cluster": host, "mag_F814": m * u.mag, "aper_F814": m * u.mag})
    table["aper_F606"] = (m + colour) * u.mag
    for name in ("mag_F814", "aper_F814", "aper_F606"):
        table[f"{name}_err"] = np.full(len(m), 0.01) * u.mag
    return table, np.array(member)


def test_each_cluster_has_its_own_sequence(galaxies, caplog):
    table, member = galaxies
    found = red_sequences(table, member)
    assert list(found.relations) == ["A", "B"]
    assert "few: fewer than 5 members" in caplog.text
    for name, zero in ZERO.items():
        assert found.relations[name](22.0) == pytest.approx(zero, abs=0.03)
        assert found.relations[name].slope == pytest.approx(-0.03, abs=0.01)
    here = np.asarray(table["cluster"]) != "few"
    assert abs(np.median(found.differential[here & member])) < 0.01
    assert np.median(found.differential[here & ~member]) < -0.3
    assert np.isnan(found.differential[~here]).all()
    np.testing.assert_allclose(found.colour_error, 0.01 * np.sqrt(2))
    rows = found.table()
    assert rows["cluster"].tolist() == ["A", "B"]
    assert (rows["members"] <= 60).all()


def test_the_fit_is_that_of_one_cluster(galaxies):
    table, member = galaxies
    mine = (np.asarray(table["cluster"]) == "A") & member
    colour = (table["aper_F606"] - table["aper_F814"]).value
    alone = colour_magnitude_relation(
        table["mag_F814"].value[mine],
        colour[mine],
        magnitude_error=0.01,
        colour_error=0.01 * np.sqrt(2),
        rng=5,
    )
    assert red_sequences(table, member, rng=5).relations["A"].slope == pytest.approx(alone.slope, abs=1e-9)


def test_what_is_missing_is_named(galaxies):
    table, member = galaxies
    with pytest.raises(InputError, match="got none for \\['aper_F105', 'aper_F105_err'\\]"):
        red_sequences(table, member, bands=("F105", "F814"))
    with pytest.raises(InputError, match="bands must be two"):
        red_sequences(table, member, bands=("F814",))
    with pytest.raises(InputError, match="one value a galaxy, 202, got \\(3,\\)"):
        red_sequences(table, member[:3])
