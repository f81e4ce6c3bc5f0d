from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from bokeh.models import Legend, LogScale

from labkit.errors import InputError
from labkit.evaluate import agreement_table, auc, crossing, member_profile
from labkit.predictions import Predictions
from labkit.views.members import member_profiles, method_agreement, method_rocs, threshold_curves

N = 120


def predictions(score: np.ndarray, member: np.ndarray, name: str) -> Predictions:
    return Predictions.from_arrays(
        [f"o{k:03d}" for k in range(len(score))],
        np.column_stack([1 - score, score]),
        classes=("non-member", "member"),
        true=np.where(member, "member", "non-member"),
        experiment=name,
        positive="member",
    )


@pytest.fixture
def member() -> np.ndarray:
    return np.arange(N) % 2 == 0


@pytest.fixture
def methods(member) -> dict[str, Predictions]:
    rng = np.random.default_rng(4)
    score = {
        name: 1 / (1 + np.exp(-np.where(member, 1, -1) * gain + rng.normal(0, 1.5, N)))
        for name, gain in (("CNN", 2.0), ("forest", 1.0))
    }
    return {name: predictions(p, member, name) for name, p in score.items()}


def panels(grid) -> list:
    return [panel for panel, *_ in grid.children]


def data(plot, name: str) -> dict:
    return next(r for r in plot.renderers if r.name == name).data_source.data


def legend_of(plot) -> list[str]:
    return [item.label.value for legend in plot.select(Legend) for item in legend.items]


def test_curves_are_purity_and_completeness_at_each_threshold(methods, member):
    plots = panels(threshold_curves(methods, resamples=50))
    assert [plot.title.text for plot in plots] == ["CNN", "forest"]
    score = methods["CNN"].score
    for name, total in (("purity", None), ("completeness", member.sum())):
        line = data(plots[0], name)
        for x, y in list(zip(line["x"], line["y"], strict=True))[::40]:
            chosen = score >= x
            expected = (member & chosen).sum() / (total or chosen.sum())
            assert y == pytest.approx(expected)
    dot = data(plots[0], "crossing")
    assert (dot["x"][0], dot["y"][0]) == pytest.approx(crossing(member, score))
    assert data(plots[0], "crossing value")["text"][0].startswith(f"{100 * dot['y'][0]:.1f} ± ")
    assert plots[0].x_range is plots[1].x_range


def test_bands_shrink_with_the_number_of_objects_and_one_method_is_enough(methods, member):
    def width(n: int) -> float:
        one = {"CNN": predictions(np.resize(methods["CNN"].score, n), np.resize(member, n), "CNN")}
        (plot,) = panels(threshold_curves(one, resamples=200))
        band = next(r for r in plot.renderers if hasattr(r.glyph, "y2") and hasattr(r.glyph, "y1"))
        low, high = (np.asarray(band.data_source.data[key]) for key in ("y1", "y2"))
        return float((high - low)[80:120].mean())

    assert width(16 * N) == pytest.approx(width(N) / 4, rel=0.35)


def test_perfect_methods_cross_at_one(member):
    (plot,) = panels(threshold_curves({"sure": predictions(member.astype(float), member, "sure")}))
    assert data(plot, "crossing")["y"] == [1.0]
    with pytest.raises(InputError, match="methods must hold"):
        threshold_curves({})
    with pytest.raises(InputError, match="name a member"):
        threshold_curves({"CNN": predictions(np.full(3, 0.4), np.zeros(3, dtype=bool), "CNN")})


def test_every_cluster_has_its_roc_curves(methods, member):
    hosts = np.resize(["A", "A", "B", "B", "B"], N).astype("<U4")
    hosts[:3] = "all"  # members and others
    hosts[3] = "bare"  # not one member
    catalogue = Table({"object_id": [f"o{k:03d}" for k in range(N)], "cluster": hosts})
    plots = panels(method_rocs(methods, catalogue))
    assert [plot.title.text.split(" (")[0] for plot in plots] == ["A", "B", "all"]
    here = hosts == "B"
    area = auc(member[here], methods["forest"].score[here])
    assert f"forest: AUC {area:.3f}" in legend_of(plots[1])
    assert f"({member[here].sum()} of {here.sum()} members)" in plots[1].title.text
    with pytest.raises(InputError, match="must have the column 'host'"):
        method_rocs(methods, catalogue, by="host")
    with pytest.raises(InputError, match="members and others"):
        method_rocs(methods, Table({"object_id": catalogue["object_id"], "cluster": catalogue["object_id"]}))


def test_agreement_rows_count_every_object_once(methods, member):
    table = agreement_table(methods)
    left, right = panels(method_agreement(table))
    members, others = data(right, "members"), data(right, "non-members")
    assert sum(members["n"]) == member.sum()
    assert sum(members["share"]) == pytest.approx(100)
    assert sum(others["share"]) == pytest.approx(100)
    assert members["right"][0] == "CNN + forest"
    assert members["right"][-1] == "none"
    both = ((methods["CNN"].score > 0.5) == member) & ((methods["forest"].score > 0.5) == member)
    assert members["n"][0] == (both & member).sum()
    assert data(left, "right")["y"][:2].tolist() == [0, 0]  # both right on top
    assert len(data(left, "wrong")["x"]) == len(data(left, "right")["x"]) == 4
    share = 100 * ((methods["CNN"].score > 0.5) == member).mean()
    assert left.xaxis[0].major_label_overrides[0] == f"CNN\n{share:.1f} %"


def test_agreement_without_non_members(methods):
    table = agreement_table(methods)
    table["non_members"] = 0
    _, right = panels(method_agreement(table))
    assert not [r for r in right.renderers if r.name == "non-members"]
    table["members"] = 0
    with pytest.raises(InputError, match="count an object"):
        method_agreement(table)
    with pytest.raises(InputError, match=r"lacks \['members'\]"):
        method_agreement(table["CNN", "non_members"])
    with pytest.raises(InputError, match="one bool column a method"):
        method_agreement(table["members", "non_members"])


def profile(seed: int, **options) -> Table:
    rng = np.random.default_rng(seed)
    edges = np.array([0, 0.05, 0.1, 0.15, 0.2, 0.25])
    return member_profile(np.sqrt(rng.uniform(0, 0.04, 80)), edges=edges, resamples=100, **options)


def test_profiles_are_one_at_the_scale_radius_and_gaps_stay_gaps():
    tables = {"R2248": profile(1), "M0416": profile(2)}
    left, right = panels(member_profiles(tables, title="Simulated"))
    line = data(left, "cumulative")
    assert dict(zip(line["x"], line["y"], strict=True))[0.15] == pytest.approx(1)
    assert isinstance(right.y_scale, LogScale)
    shown = data(right, "density")
    assert np.isnan(shown["y"][-1])  # no member beyond 0.2 R200
    assert shown["y"][0] == tables["R2248"]["density"][0]
    assert (np.asarray(shown["low"][:-1]) > 0).all()
    assert legend_of(left) == [f"{name} (N0 = {t.meta['n0']})" for name, t in tables.items()]
    bands = [r for r in right.renderers if hasattr(r.glyph, "y2") and hasattr(r.glyph, "y1")]
    assert [len(r.data_source.data["x"]) for r in bands] == [4, 4]


def test_linear_profiles_of_one_cluster():
    left, right = panels(member_profiles({"R2248": profile(1, band="poisson")}, log=False))
    assert not isinstance(right.x_scale, LogScale)
    assert data(right, "density")["y"][-1] == 0
    assert left.xaxis[0].axis_label == "R / R200"
    with pytest.raises(InputError, match="one cluster at least"):
        member_profiles({})
    with pytest.raises(InputError, match=r"profiles\['A'\] must be from member_profile, it lacks \['outer'"):
        member_profiles({"A": profile(1)["inner", "members", "cumulative"]})
