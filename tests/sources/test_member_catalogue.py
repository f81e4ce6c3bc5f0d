"""Users' catalogues as the list of sources of a field: positions, names, redshifts, membership, repeats."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from mosaic_images import CLUSTER, INSIDE, sources_at

from labkit.errors import InputError, MissingDataError
from labkit.sources.members import catalogue_labels, read_fields, velocity
from labkit.sources.members.catalogue import (
    flag_labels,
    groups_within,
    merge_repeats,
    read_sources,
    velocity_labels,
)

PLACE = {"ra": [150.0, 150.1], "dec": [2.0, 2.1]}
SPEED = 299792.458


def read(catalogue, **options):
    return read_sources(catalogue, **(CLUSTER | options))


@given(st.floats(-0.01, 1.5), st.floats(0.01, 1.2))
@settings(max_examples=30)
def test_velocity_is_that_of_the_clusters_rest_frame(z, cluster):
    v = velocity(z, cluster).to_value(u.km / u.s)
    # (1 + z) = (1 + z_cl) (1 + v / c)
    assert (1 + cluster) * (1 + v / SPEED) - 1 == pytest.approx(z, abs=1e-12)


def test_members_lie_within_the_limit_and_the_range_is_the_papers():
    limits = velocity([0.382, 0.410], 0.397).to_value(u.km / u.s)  # Table 1: M0416
    np.testing.assert_allclose(np.abs(limits), 3000, atol=250)
    v = [-3000, 3000, 3000.1, -1e5, np.nan] * u.km / u.s
    assert velocity_labels(v).tolist() == ["member", "member", "non-member", "non-member", ""]
    assert velocity_labels(v, v_max=2 * u.Mm / u.s).tolist()[:2] == ["non-member"] * 2


FLAGS = [
    np.ma.array([True, False, True], mask=[0, 0, 1]),
    [1, 0, np.nan],
    ["Member", "interloper", ""],
    ["yes", "NO ", "unknown"],
]


@pytest.mark.parametrize("flags", FLAGS, ids=["masked", "numbers", "labels", "words"])
def test_flags_of_several_forms(flags):
    assert flag_labels(flags, name="flag").tolist() == ["member", "non-member", ""]


@pytest.mark.parametrize(
    ("z", "found", "sentinels"),
    [
        (np.array([119900.0, -99.0]) * u.km / u.s, [119900 / SPEED, -99 / SPEED], 0),
        ([119900.0, 99.0] * u.Mm / u.s / 1000, [119900 / SPEED, 99 / SPEED], 0),
        ([40.0, 41.0] * u.percent, [0.4, 0.41], 0),
        (["0.4", ""], [0.4, np.nan], 0),
        (MaskedColumn([0.4, 0.5], mask=[0, 1]), [0.4, np.nan], 0),
        ([0.4, 99.0], [0.4, np.nan], 1),
        (np.array([9.99, 999.0], dtype=np.float32), [np.nan, np.nan], 2),
        ([-99.0, -1.0], [np.nan, np.nan], 1),
        ([9.9, 12.0], [9.9, 12.0], 0),
    ],
)
def test_redshifts_of_all_kinds(z, found, sentinels):
    sources, counts, warnings = read(QTable(PLACE | {"z_spec": z}))
    np.testing.assert_allclose(sources["redshift"], found, rtol=1e-12)
    assert counts["redshift_sentinel"] == sentinels
    assert any("taken as unknown" in text for text in warnings) == bool(sentinels)
    assert (sources["label"] == "").tolist() == np.isnan(found).tolist()


@pytest.mark.parametrize(
    ("quality", "accepted"),
    [
        ([3, 1], ["3"]),
        (["A ", "c"], ["A", "b"]),
        ([3.4, 2.4], ["3.4", "9.5"]),
        (np.array([3.4, 2.4], dtype=np.float32), [3.4]),
        (["3 ", "2"], [3]),
        ([3.0, 2.0], [3]),
        (np.array([3, 2], dtype="u1"), [3]),
        (MaskedColumn([3, 3], mask=[0, 1]), [3]),
        ([b"A", b"B"], "A"),
    ],
)
def test_qualities_are_the_same_as_text_and_as_number(quality, accepted):
    table = QTable(PLACE | {"z_spec": [0.4, 0.4], "q": quality})
    sources, counts, _ = read(table, quality="q", accepted=accepted)
    assert np.isnan(sources["redshift"]).tolist() == [False, True]
    assert (sources["velocity"][0], sources["label"].tolist()) == (velocity(0.4, 0.4), ["member", ""])
    assert counts["redshift_not_accepted"] == 1


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (MaskedColumn([5, 6], mask=[0, 1]), ["A1-5", "A1-00001"]),
        ([1e16 + 2, 5.0], ["A1-10000000000000002", "A1-5"]),
        ([b"a ", b"b"], ["A1-a", "A1-b"]),
        (["", "x"], ["A1-00000", "A1-x"]),
    ],
)
def test_names_are_text_and_never_what_a_mask_hides(ids, names):
    sources, _, _ = read(QTable(PLACE | {"z_spec": [0.4, 0.4], "source_id": ids}))
    assert sources["object_id"].tolist() == names


def test_catalogues_alone_give_members_and_velocities_cluster_by_cluster(tmp_path):
    """Worked out by hand: c (z - z_cl) / (1 + z_cl), 299792.458 x 0.009 / 1.4 = 1927.24 km/s."""
    table = QTable(
        {"id": ["a", "b", "c", "d"], "ra": np.arange(4) * 0.01 * u.deg, "dec": np.zeros(4) * u.deg}
    )
    table["z_spec"] = [0.4, 0.409, 0.43, -99.0]
    table.write(tmp_path / "one.fits")
    Table({"cluster": ["A1", "B2"], "redshift": [0.4, 0.42], "catalogue": ["one.fits"] * 2}).write(
        tmp_path / "fields.csv"
    )
    fields = read_fields(tmp_path / "fields.csv")
    listed = [(one.cluster, one.redshift, one.catalogue) for one in fields]
    found = catalogue_labels(listed, source_id="id")
    assert found["object_id"].tolist() == [f"{cluster}-{name}" for cluster in ("A1", "B2") for name in "abcd"]
    assert found["label"].tolist() == [
        "member",
        "member",
        "non-member",
        "",
        "non-member",
        "member",
        "member",
        "",
    ]
    right = [0, 1927.24, 6424.12, np.nan, -4222.43, -2322.34, 2111.21, np.nan]
    np.testing.assert_allclose(found["velocity"].to_value(u.km / u.s), right, atol=0.01)
    assert found.meta["counts"]["B2"]["redshift_sentinel"] == 1
    assert catalogue_labels(listed[:1], v_max=1000 * u.km / u.s)["label"].tolist()[:2] == [
        "member",
        "non-member",
    ]
    with pytest.raises(MissingDataError, match="folder"):
        read_fields(Table({"cluster": ["A1"], "redshift": [0.4]}))


def test_real_velocities_are_those_that_a_survey_published(real):
    table = Table.read(real / "splus" / "cluster_members.ecsv")
    table = table[table["cluster"] == table["cluster"][0]]
    z = float(table["z_cluster"][0])
    about = {"z": "z_spec", "source_id": None, "merge_radius": 0 * u.arcsec}
    found = catalogue_labels([("A", z, table)], **about)["velocity"].to_value(u.km / u.s)
    apart = np.abs(found - table["velocity_offset"])
    assert np.median(apart) < 0.01


def test_positions_of_all_kinds_and_columns_beside_ours():
    sexagesimal = {"RA": ["10:00:00", "10:00:24"], "Dec": ["+2:00:00", "+2:06:00"], "Z_SPEC": [0.4, 0.5]}
    sources, _, _ = read(Table(sexagesimal | {"label": ["mine", "yours"], "velocity": [1, 2]}))
    np.testing.assert_allclose(sources["ra"].to_value(u.deg), PLACE["ra"])
    np.testing.assert_allclose(sources["dec"].to_value(u.deg), PLACE["dec"])
    assert sources["label"].tolist() == ["member", "non-member"]
    assert sources["label_listed"].tolist() == ["mine", "yours"]
    assert sources["velocity_listed"].tolist() == [1, 2]
    hours = QTable({"ra": [10.0, 150 / 15] * u.hourangle, "dec": [2.0, -99.0], "z_spec": [0.4, 0.4]})
    sources, counts, _ = read(hours)
    np.testing.assert_allclose(sources["ra"].to_value(u.deg), [150], rtol=1e-12)
    assert counts["without_position"] == 1
    hours["ra"][:] = np.nan * u.hourangle
    with pytest.raises(InputError, match="columns 'ra' and 'dec' must hold positions in degrees, got none"):
        read(hours)


def test_repeated_sources_are_merged_by_rule():
    table = sources_at(INSIDE)[[0, 0, 1, 1, 2, 3]]
    table["source_id"] = ["a", "b", "c", "d", "e", "f"]
    table["z_spec"] = [np.nan, 0.4, 0.4, 0.9, 0.4, 0.9]
    table["dec"][[1, 3]] += 0.05 * u.arcsec
    sources, counts, warnings = read(table)
    assert sources["object_id"].tolist() == ["A1-b", "A1-c", "A1-e", "A1-f"]
    assert sources["label"].tolist() == ["member", "", "member", "non-member"]
    assert (counts["merged"], counts["contradicting"]) == (2, 1)
    assert "1 sources with rows that disagree" in warnings[0]
    assert len(read(table, merge_radius=0.01 * u.arcsec)[0]) == 6


def test_groups_are_chains_and_keep_the_best_row():
    sky = SkyCoord([10, 10, 10, 50] * u.deg, np.array([0, 0.08, 0.16, 0]) / 3600 * u.deg)
    groups = groups_within(sky, 0.1 * u.arcsec)
    assert groups[0] == groups[1] == groups[2] != groups[3]
    keep, disputed = merge_repeats(groups, np.array(["", "", "", ""]), np.array([False, False, True, False]))
    assert keep.tolist() == [2, 3]
    assert not disputed.any()


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            {},
            {"ra": "X"},
            r"columns \['X', 'dec', 'z_spec'\], got .* without \['X'\]; .* ra=, dec=, z=, qual",
        ),
        ({"ra": [], "dec": [], "z_spec": []}, {}, "must hold at least one source, got none"),
        ({}, {"redshift": -0.1}, "redshift of 'A1' must be between 0 and 20, got -0.1"),
        ({}, {"cluster": " "}, "cluster must be a name, got ' '"),
        ({}, {"v_max": 3000}, "v_max must be one positive velocity, such as 3000"),
        ({}, {"merge_radius": 1}, "merge_radius must be an angle of zero or more"),
        ({}, {"z": None, "quality": "z_spec", "accepted": (1,)}, "quality 'z_spec' needs redshifts"),
        ({}, {"quality": "z_spec"}, "quality and accepted must be given together, got 'z_spec' and None"),
        (
            {},
            {"quality": "z_spec", "accepted": (7,)},
            r"values of the column 'z_spec', got \[7\]; there are \['0.4'",
        ),
        ({"m": [1, 2]}, {"member": "m"}, r"column 'm' must say who is a member .* got \['2'\]"),
        ({"source_id": ["a", "a"]}, {}, r"must name each source once, got \['A1-a'\] for different"),
        (
            {"z_spec": [0.4, 119900.0]},
            {},
            r"redshifts up to 20, got 119900 in row 2 .* its unit \(km/s for c z",
        ),
        ({"z_spec": [0.4, 0.5] * u.kpc}, {}, "must hold redshifts or velocities c z, got the unit kpc"),
        ({"z_spec": ["0.4", "0,5"]}, {}, "column 'z_spec' must hold numbers, got '0,5' in row 2"),
        (
            {"z_spec": [np.nan] * 2},
            {"labelled": True},
            "needs sources of known membership, got none of 2 in A1",
        ),
    ],
)
def test_catalogues_and_options_are_checked(columns, options, message):
    with pytest.raises((InputError, MissingDataError), match=message):
        read(QTable(PLACE | {"z_spec": [0.4, 0.4]} | columns), **options)
