"""Set-ups of experiments on members: who takes part, who is blind, and that shares are kept."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from labkit import evaluate
from labkit.errors import InputError
from labkit.sample import Sample, with_columns
from labkit.sources.members.setups import (
    redshift_bins,
    setup_counts,
    split_counts,
    with_configurations,
    with_growing_sets,
    with_redshift_bins,
    with_setups,
    with_training_ranges,
)

BLIND = ("A370", "MS2137", "M0329")
RANGES = {"narrow": (0.332, 0.412), "intermediate": (0.286, 0.467), "large": (0.174, 0.606)}
MIXED = {"mixed": ("R", "H"), "mixed_star": ("R", "H"), "optical": ("R",)}


class Unread:
    """Pixels that nothing may touch."""

    def __init__(self, shape):
        self.shape, self.dtype, self.ndim = shape, np.dtype(np.float32), len(shape)

    def __getitem__(self, key):
        raise AssertionError("pixels were read")


def sample_of(hosts, labels, z, **columns):
    n = len(hosts)
    catalogue = QTable(
        {
            "object_id": [f"S{i:05d}" for i in range(n)],
            "ra": np.linspace(0, 300, n) * u.deg,
            "dec": np.linspace(-60, 60, n) * u.deg,
            "label": labels,
            "cluster": hosts,
            "cluster_redshift": z,
        }
        | columns
    )
    return Sample(Unread((n, 2, 8, 8)), catalogue, bands=("R", "H"), pixel_scale=0.065 * u.arcsec)


def table_1():
    """A Sample with the sources of mixed*, of Table 1; every tenth lacks the infrared on top of them."""
    hosts, labels, z = [], [], []
    for row in evaluate.published("angora2020", "table1"):
        for kind, name in (("member", "mixed_members"), ("non-member", "mixed_non_members")):
            hosts += [str(row["short"])] * int(row[name])
            labels += [kind] * int(row[name])
            z += [float(row["redshift"])] * int(row[name])
    rng = np.random.default_rng(1)
    z, member = np.array(z), np.array(labels) == "member"
    redshift = np.where(member, z + rng.normal(0, 0.004, len(z)), rng.uniform(0.02, 3, len(z)))
    return sample_of(
        hosts, labels, z, redshift=redshift, coverage_R=np.ones(len(z)), coverage_H=np.ones(len(z))
    )


@pytest.fixture(scope="module")
def published():
    sample = table_1()
    assert len(sample) == 1629 + 2161
    return with_configurations(sample, MIXED, without={"mixed": ("A2744", "A370")})


def test_configurations_have_the_published_numbers(published):
    counts = setup_counts(published, ["label_mixed", "label_mixed_star"])[-1]
    assert (counts["mixed_members"], counts["mixed_non_members"]) == (1249, 1571)
    assert (counts["mixed_star_members"], counts["mixed_star_non_members"]) == (1629, 2161)
    hosts = np.asarray(published.catalogue["cluster"])
    taken = hosts[np.asarray(published.catalogue["label_mixed"]) != ""]
    assert not set(taken) & {"A2744", "A370"}
    assert published.provenance["setups"]["mixed"] == {"bands": ["R", "H"], "without": ["A2744", "A370"]}
    assert published.labels.tolist() == np.asarray(published.catalogue["label_mixed_star"]).tolist()


def small(coverage=1.0, labels=("member", "non-member") * 3):
    n = len(labels)
    hosts = ["A"] * (n // 2) + ["B"] * (n - n // 2)
    return sample_of(
        hosts, list(labels), np.full(n, 0.4), coverage_R=np.ones(n), coverage_H=np.resize(coverage, n)
    )


def test_a_source_without_a_band_takes_no_part_where_it_is_needed(caplog):
    with caplog.at_level(logging.INFO):
        found = with_configurations(small(np.float32([1, 1, 0.4, 0, 0.95, 0.95])), MIXED).catalogue
    assert found["label_optical"].tolist() == ["member", "non-member"] * 3
    assert found["label_mixed"].tolist() == ["member", "non-member", "", "", "member", "non-member"]
    assert "label_mixed: 2 member, 2 non-member; 2 take no part" in caplog.text


def test_a_cluster_of_one_class_stays_and_is_named(caplog):
    lone = small(labels=["member"] * 3 + ["member", "non-member", "non-member"])
    found = with_configurations(lone, {"optical": ("R",)})
    assert "optical: A has members only" in caplog.text
    assert (found.catalogue["label_optical"] != "").all()
    both = "must hold members and non-members, got 3 and 0"
    with pytest.raises(InputError, match=f"configuration 'optical' {both}"):
        with_configurations(lone, {"optical": ("R",)}, without={"optical": ["B"]})
    options = {"ranges": {"x": (0.4, 0.4)}, "label": "label"}
    with pytest.raises(InputError, match=f"the train set of range 'x' {both}"):
        with_training_ranges(lone, blind=["B"], **options)
    with pytest.raises(InputError, match=rf"the blind clusters \['A'\] {both}"):
        with_training_ranges(lone, blind="A", **options)
    with pytest.raises(InputError, match="the validation set of range 'x' must .* got 0 and 0"):
        with_training_ranges(small(), blind="A", **options)


@pytest.mark.parametrize(
    ("configurations", "without", "message"),
    [
        (MIXED, {"mixd": ["A"]}, r"without must name configurations out of .*got \['mixd'\]"),
        (MIXED, {"mixed": ["C"]}, r"clusters of the Sample, \('A', 'B'\), got \['C'\]; leave them out"),
        ({"infrared": ("J",)}, None, "must have a column 'coverage_J'"),
    ],
)
def test_unknown_clusters_and_configurations_are_refused(configurations, without, message):
    with pytest.raises(InputError, match=message):
        with_configurations(small(), configurations, without=without)


def test_ranges_have_the_numbers_of_section_4_2(published):
    found = with_training_ranges(published, blind=BLIND, ranges=RANGES, seed=1)
    table = split_counts(found, [f"split_{name}" for name in RANGES])
    train, validation, test = (table[table["part"] == part] for part in ("train", "validation", "test"))
    assert (train["members"] + validation["members"]).tolist() == [514, 898, 1286]
    assert (train["non_members"] + validation["non_members"]).tolist() == [555, 1157, 1725]
    assert set(zip(test["members"], test["non_members"], strict=True)) == {(343, 436)}
    assert test["clusters"].tolist() == [3, 3, 3]


def test_validation_is_a_share_of_every_class_and_cluster_and_the_same_in_all_ranges(published):
    found = with_training_ranges(published, blind=BLIND, ranges=RANGES, seed=1).catalogue
    hosts, labels = np.asarray(found["cluster"]), np.asarray(found["label"])
    large = np.asarray(found["split_large"])
    for host in set(hosts) - set(BLIND):
        for kind in ("member", "non-member"):
            here = (hosts == host) & (labels == kind)
            assert abs((large[here] == "validation").sum() - 0.1 * here.sum()) <= 1
    assert abs((large == "validation").sum() - 301.1) <= 1
    for name in ("narrow", "intermediate"):
        split = np.asarray(found[f"split_{name}"])
        inside = np.isin(split, ("train", "validation"))
        assert (split[inside] == large[inside]).all()
        np.testing.assert_array_equal(split == "test", large == "test")
    assert set(hosts[large == "test"]) == set(BLIND)
    assert not set(hosts[np.isin(large, ("train", "validation"))]) & set(BLIND)
    again = with_training_ranges(published, blind=BLIND, ranges=RANGES, seed=1).catalogue["split_large"]
    other = with_training_ranges(published, blind=BLIND, ranges=RANGES, seed=2).catalogue["split_large"]
    assert (again == large).all()
    assert (other != large).any()


def test_sources_that_take_no_part_have_no_part(published):
    options = {"blind": ["MS2137"], "ranges": {"all": (0, 1)}, "label": "label_mixed"}
    found = with_training_ranges(published, **options).catalogue
    assert set(found["split_all"][found["label_mixed"] == ""]) == {""}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blind": ("A1689",)}, r"blind must name clusters with sources that take part, .*got \['A1689'\]"),
        ({"blind": ("A370",), "label": "label_mixed"}, r"take part, .*got \['A370'\]"),
        ({"blind": ()}, "blind must name clusters .* one at least, got none"),
        ({"ranges": {"far": (0.7, 0.9)}}, r"'far' must hold a cluster that is not blind, got none from 0.7"),
        ({"ranges": {"one": (0.374, 0.376)}}, r"got none from .*blind \['A370'"),
        ({"ranges": {"x": (0.1, 0.2, 0.3)}}, "range 'x' must be a lowest and a highest redshift, got"),
        ({"label": "label_none"}, "must have a column 'label_none'"),
    ],
)
def test_bad_ranges_are_refused(published, options, message):
    with pytest.raises(InputError, match=message):
        with_training_ranges(published, **{"blind": BLIND, "ranges": RANGES} | options)


def test_redshift_bins_are_equally_filled_and_rise(published):
    found = with_redshift_bins(published, seed=3)
    z, edges = np.asarray(found.catalogue["redshift"]), found.provenance["setups"]["redshift bins"]["edges"]
    labels = [np.asarray(found.catalogue[f"label_z{i}"]) for i in range(1, 6)]
    assert [int((one == "member").sum()) for one in labels] == [326, 326, 326, 326, 325]
    assert [int((one == "non-member").sum()) for one in labels] == [326, 326, 326, 326, 325]
    assert len(edges) == 6
    for low, high, one in zip(edges[:-1], edges[1:], labels, strict=True):
        theirs = z[one == "member"]
        assert low <= theirs.min() <= theirs.max() <= high
    taken = np.stack([one != "" for one in labels]).sum(axis=0)
    assert taken.max() == 1, "nobody is in two bins"
    assert (taken[np.asarray(found.catalogue["label"]) == "member"] == 1).all()
    for one in labels:
        kept = one != ""
        assert (one[kept] == found.labels[kept]).all()
    others = np.median([np.median(z[one == "non-member"]) for one in labels])
    assert others > 1, "non-members are dealt whatever their redshift"
    bins = redshift_bins(found)
    names = list(bins)
    assert (names[0][:4], names[-1][-4:]) == (f"{edges[0]:.2f}", f"{edges[-1]:.2f}")
    assert [bins[names[0]], bins[names[-1]]] == [tuple(edges[:2]), tuple(edges[-2:])]


def test_bins_that_two_digits_cannot_tell_apart_have_more(published):
    about = {"redshift bins": {"edges": [0.1, 0.401, 0.402, 0.4031, 0.5]}}
    alike = with_columns(published, {}, provenance={"setups": about})
    assert list(redshift_bins(alike)) == ["0.100-0.401", "0.401-0.402", "0.402-0.403", "0.403-0.500"]
    with pytest.raises(InputError, match="must have bins of redshift, got none"):
        redshift_bins(published)


def test_all_setups_are_those_made_one_by_one(published, caplog):
    bands = MIXED | {"ALL": ("R", "H", "K")}
    given = {"blind": BLIND, "ranges": RANGES, "without": {"mixed": ["A370"], "ALL": ["A370"]}, "seed": 2}
    found = with_setups(published, bands, steps=(1, 4), **given).catalogue
    assert "configuration ALL is left out: the Sample has no K" in caplog.text
    assert "label_ALL" not in found.colnames
    one = with_configurations(published, MIXED, without={"mixed": ["A370"]})
    one = with_training_ranges(one, blind=BLIND, ranges=RANGES, seed=2)
    one = with_growing_sets(with_redshift_bins(one, seed=2), label="label_mixed", steps=(1, 4), seed=2)
    for name in ("label_mixed", "split_narrow", "label_z3", "label_grow_mixed_4"):
        assert (found[name] == one.catalogue[name]).all(), name
    assert "label_grow_mixed_star_1" in found.colnames
    with pytest.raises(InputError, match="base must be a configuration in bands of the Sample"):
        with_setups(published, {"mixed_star": ["K"]}, **given)


def test_too_few_non_members_are_all_dealt(published, caplog):
    scarce = published.select(np.flatnonzero((published.labels == "member") | (np.arange(3790) % 4 == 0)))
    found = with_redshift_bins(scarce, bins=4)
    dealt = setup_counts(found, [f"label_z{i}" for i in range(1, 5)])[-1]
    each = [dealt[f"z{i}_non_members"] for i in range(1, 5)]
    assert sum(each) == (scarce.labels == "non-member").sum() < 1629
    assert max(each) - min(each) <= 1
    assert "non-members are too few for 1629; all are dealt" in caplog.text


def test_bins_that_cannot_be_filled_are_refused(caplog):
    z = np.array([0.4, 1, 0.41, 2, np.nan, 3])
    few = with_redshift_bins(small_with(z), bins=2, label="label")
    assert "1 members without redshift are in no bin" in caplog.text
    assert few.catalogue["label_z1"].tolist().count("member") == 1
    assert few.catalogue["label_z1"][4] == few.catalogue["label_z2"][4] == ""
    with pytest.raises(InputError, match="members with redshift, 2, and of non-members, 3, got 3"):
        with_redshift_bins(small_with(z), bins=3, label="label")
    with pytest.raises(InputError, match="bins must be 2 or more, got 1"):
        with_redshift_bins(small_with(z), bins=1, label="label")
    with pytest.raises(InputError, match="must have a column 'redshift'"):
        with_redshift_bins(small(), label="label")


def small_with(z):
    return sample_of(["A"] * 6, ["member", "non-member"] * 3, np.full(6, 0.4), redshift=z)


def test_sets_grow_by_disjoint_subsets_in_proportion(published):
    found = with_growing_sets(published, steps=range(1, 11), seed=5).catalogue
    hosts, whole = np.asarray(found["cluster"]), np.asarray(found["label_mixed_star"])
    before = np.zeros(len(found), dtype=bool)
    for n in range(1, 11):
        labels = np.asarray(found[f"label_grow_mixed_star_{n}"])
        here = labels != ""
        assert (labels[here] == whole[here]).all()
        assert here[before].all(), "a larger set holds the smaller one"
        assert abs(int(here.sum()) - 379 * n) <= 1
        for kind in ("member", "non-member"):
            for host in ("MS2137", "M0416"):
                group = (hosts == host) & (whole == kind)
                assert abs((here & ~before & group).sum() - group.sum() / 10) < 1
        before = here
    assert (before == (whole != "")).all()


def test_bad_growth_is_refused(published, caplog):
    for steps in ((3, 2), (1, 11), ()):
        with pytest.raises(InputError, match="steps must rise within 1 to 10, got"):
            with_growing_sets(published, steps=steps)
    with pytest.raises(InputError, match="'label' must hold a member .* for each of 10 subsets, got 3 and 3"):
        with_growing_sets(small(), label="label")
    with pytest.raises(InputError, match="got 12 and 1; give more sources"):
        with_growing_sets(small(labels=["member"] * 12 + ["non-member"]), label="label")
    with pytest.raises(InputError, match=r"labels must be known to the scheme 'member', got \['edge'\]"):
        with_growing_sets(small(labels=["edge"] * 6), label="label")
    with_growing_sets(small(labels=["member", "non-member"] * 15), label="label")
    assert "clusters with fewer than 10 sources of a class: A, B" in caplog.text
