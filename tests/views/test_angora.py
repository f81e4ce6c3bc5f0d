"""Figures of Angora et al. (2020): bands, training sets, ranges, methods, by labels and plotted data."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from astropy.table import Table, vstack
from bokeh.models import LogScale

from labkit import evaluate
from labkit.errors import InputError
from labkit.evaluate import agreement_table, auc, crossing, member_profile
from labkit.predictions import Predictions
from labkit.views import curves, pages
from labkit.views.angora import configurations, redshift_bins, table_beside, training_ranges, training_size
from labkit.views.angora_galaxies import member_profiles
from labkit.views.angora_methods import method_agreement, method_rocs, pooled_rocs, threshold_curves

MEASURES = ("accuracy", "purity", "completeness", "f1")
BINS = {"a": (0.1, 0.2), "b": (0.2, 0.3), "c": (0.3, 0.4)}


def folds(shift: float = 0.0, number: int = 5) -> Table:
    return Table({name: 0.8 + shift + 0.01 * np.arange(number) for name in MEASURES})


def binned() -> tuple[Table, Table]:
    """Three redshift bins; completeness falls by 10 points from z = 0.2 to 0.4."""
    parts, overall = [], []
    for name, fall in (("a", 0.0), ("b", 0.05), ("c", 0.10)):
        part = folds()
        part["completeness"] -= fall
        part["redshift_bin"] = name
        parts.append(part)
        row = Table(part[2:3])
        for sign, end in ((-1, "low"), (1, "high")):
            row[f"completeness_{end}"] = row["completeness"] + sign * 0.02
        overall.append(row)
    return vstack(parts), vstack(overall)


def test_boxes_hold_the_quartiles_of_the_folds(look):
    every, overall = binned()
    upper, lower = look.panels(redshift_bins(every, overall, bins=BINS))
    box = look.data(upper, "completeness")
    assert np.asarray(box["median"]) == pytest.approx([82, 77, 72])
    assert (box["q1"][0], box["q3"][0]) == pytest.approx((81, 83))
    assert (box["least"][0], box["most"][0]) == pytest.approx((80, 84))
    assert upper.xaxis[0].major_label_overrides == {0: "0.10–0.20", 1: "0.20–0.30", 2: "0.30–0.40"}
    assert "completeness: −5.0 ± 0.0 % per 0.1 in z" in look.legend(lower)
    points = look.data(lower, "completeness")
    assert np.asarray(points["high"]) - np.asarray(points["low"]) == pytest.approx(4)
    assert np.isnan(look.data(lower, "purity")["low"]).all()  # no interval known
    places = [
        look.data(lower, name)["x"][0] for name in ("average efficiency", "purity", "completeness", "F1")
    ]
    assert len(set(places)) == 4  # side by side


def test_one_bin_and_missing_folds_are_fine(look):
    every, overall = binned()
    every["purity"][:5] = np.nan
    upper, lower = look.panels(redshift_bins(every[:5], overall[:1], bins=BINS))
    assert not len(look.data(upper, "purity")["x"])
    assert "purity" in look.legend(lower)  # a single point has no line
    assert len(look.panels(redshift_bins(every, bins=BINS))) == 1


def test_tables_of_the_paper_have_both_values_side_by_side():
    table = Table({"redshift_bin": ["a", "a"], "class": ["member", "non-member"], "f1": [0.5, 0.25]})
    names = ["a", "b"]  # the first two of the printed bins
    found = str(table_beside(table, "tableD3", data="simulated", names=names, note="Mean."))
    assert "Table D.3, members, per cent, measured (simulated) and as in the paper (real). Mean.<" in found
    assert [word in found for word in (">50.0<", ">85.7 ± 1.4<", ">25.0<", "non-member")] == [
        True,
        True,
        False,
        False,
    ]
    named = {"a": "0.18-0.32", "b": "0.32-0.37"}
    assert ">25.0<" in str(table_beside(table, "tableD3", data="simulated", names=named, of=""))
    nothing = evaluate.measure({}, by=("redshift_bin", "class"))
    assert "This run has none." in str(table_beside(nothing, "tableD3", data="real", names=names))


def test_a_figure_of_nothing_is_a_line_that_says_so(monkeypatch):
    nothing = evaluate.measure({}, by=("bands", "seed"))
    for draw in (configurations, training_size, training_ranges, partial(redshift_bins, bins=BINS)):
        assert draw(nothing, title="A & B").text == "A &amp; B: this run has none."
    line, shown = curves.roc({}, title="Blind"), []
    assert line.text == "Blind: this run has none."
    monkeypatch.setattr(pages, "get_ipython", object)
    monkeypatch.setattr(pages, "output_notebook", lambda *args, **options: None)
    monkeypatch.setattr(pages, "show_in_notebook", shown.append)
    monkeypatch.setattr(pages, "display", shown.append)
    pages.show(line, "caption")
    assert shown == [line]
    pages.show(plot := curves.roc({"a": [evaluate.roc_curve([0, 1], [0.1, 0.9])]}), "**Figure**")
    assert shown[1] is plot
    assert shown[2].data == "**Figure**"


def grown() -> Table:
    rows = []
    std = np.std([-1, -0.5, 0, 0.5, 1], ddof=1) * 20
    for name, level in (("mixed", 0.80), ("ACS", 0.82)):
        for size in (2000, 500, 1000):
            row = {"bands": name, "train": size, "runs": 5}
            for measure in ("accuracy", "f1"):
                spread = std / size
                row |= {measure: level + 2e-5 * size, f"{measure}_std": spread}
                row |= {f"{measure}_error": spread / np.sqrt(5)}
            rows.append(row)
    return Table(rows=rows)


def test_quality_rises_and_scatter_falls_with_the_training_set(look):
    first, second, below, _ = look.panels(training_size(grown()))
    assert first.yaxis[0].axis_label == "F1 (%)"
    assert second.yaxis[0].axis_label == "average efficiency (%)"
    points = look.data(first, "mixed")
    assert np.asarray(points["x"]).tolist() == [500, 1000, 2000]
    assert np.asarray(points["y"]) == pytest.approx([81, 82, 84])
    line = look.data(first, "mixed fit")
    assert np.diff(line["y"])[0] / np.diff(line["x"])[0] == pytest.approx(2e-3)  # per cent an object
    std = np.std([-1, -0.5, 0, 0.5, 1], ddof=1) * 20
    assert np.asarray(look.data(below, "ACS")["y"]) == pytest.approx(
        [100 * std / n for n in (500, 1000, 2000)]
    )
    assert below.x_range is first.x_range is second.x_range
    slope = {
        t.tooltips[0][0]: dict(t.tooltips)["slope"] for t in first.toolbar.tools if hasattr(t, "tooltips")
    }
    assert slope["mixed"].startswith("+1.00 ± ")


def test_errors_of_means_and_spreads_are_those_of_the_folds(look):
    first, _, below, _ = look.panels(training_size(grown()))
    std = np.std([-1, -0.5, 0, 0.5, 1], ddof=1) * 20
    means, spreads = look.data(first, "ACS"), look.data(below, "ACS")
    assert means["high"][0] - means["y"][0] == pytest.approx(100 * std / 500 / np.sqrt(5))
    assert spreads["high"][0] - spreads["y"][0] == pytest.approx(100 * std / 500 / np.sqrt(8))


def test_single_folds_are_fine(look):
    alone = grown()[:1]
    alone["runs"], alone["f1_std"], alone["f1_error"] = 1, np.nan, np.nan
    first, _, below, _ = look.panels(training_size(alone))
    assert look.data(first, "mixed")["folds"][0] == 1
    assert np.isnan(look.data(below, "mixed")["y"]).all()


def measured() -> Table:
    table = Table({name: [0.9, 0.92] for name in MEASURES})
    table["experiment"] = ["first", "mixed*"]
    table["f1_low"], table["f1_high"] = 0.88, 0.93
    table["completeness_std"] = 0.02
    return table


def test_configurations_stand_beside_the_published_ones(look):
    published = evaluate.published("angora2020", "tableD1")
    plot = configurations(measured(), published, names={"first": "mixed"}, data="simulated")
    assert look.legend(plot)[:2] == ["mixed, simulated", "mixed*, simulated"]
    assert look.legend(plot)[-1] == "published"
    ours, theirs = look.data(plot, "mixed"), look.data(plot, "mixed, published")
    assert np.asarray(ours["y"]) == pytest.approx([90] * 4)
    assert (ours["low"][3], ours["high"][3]) == pytest.approx((88, 93))
    assert (ours["low"][2], ours["high"][2]) == pytest.approx((88, 92))  # from the standard deviation
    assert np.asarray(theirs["y"]) == pytest.approx([86.7, 83.1, 88.4, 85.6])  # Table D.1, members
    assert (np.asarray(theirs["x"]) > np.asarray(ours["x"])).all()
    assert look.data(plot, "ALL, published")["y"][0] == pytest.approx(87.7)  # published, not measured
    assert plot.xaxis[0].major_label_overrides[0] == "average efficiency"
    alone = configurations(measured(), measures=["F1", "purity"])
    assert "published" not in look.legend(alone)


def test_measures_that_were_not_published_have_no_diamond(look):
    table = measured()
    table["auc"] = 0.95
    published = evaluate.published("angora2020", "tableD1")
    plot = configurations(table, published, names={"first": "mixed"}, measures=["F1", "AUC"])
    assert np.isnan(look.data(plot, "mixed, published")["y"]).tolist() == [False, True]


def test_training_ranges_have_a_panel_per_cluster(look):
    parts = []
    for host in ("stacked", "A370"):
        for number, name in enumerate(("narrow", "large")):
            part = folds(0.02 * number)
            part["cluster"], part["training"] = host, name
            parts.append(part)
    table = vstack(parts)
    found = look.panels(training_ranges(table, evaluate.published("angora2020", "tableD4"), title="Blind"))
    assert [plot.title.text for plot in found] == ["Blind: stacked", "A370"]
    assert np.asarray(look.data(found[1], "large")["median"]) == pytest.approx([84] * 4)
    theirs = look.data(found[1], "large, published")
    assert theirs["y"][0] == pytest.approx(87.4)
    assert theirs["high"][0] - theirs["y"][0] == pytest.approx(0.3)
    assert look.legend(found[0]) == ["narrow", "large", "published"]
    assert found[0].y_range is found[1].y_range
    assert len(look.panels(training_ranges(table[:5]))) == 1


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


def test_curves_are_purity_and_completeness_at_each_threshold(look, methods, member):
    plots = look.panels(threshold_curves(methods, resamples=50))
    assert [plot.title.text for plot in plots] == ["CNN", "forest"]
    score = methods["CNN"].score
    for name, total in (("purity", None), ("completeness", member.sum())):
        line = look.data(plots[0], name)
        for x, y in list(zip(line["x"], line["y"], strict=True))[::40]:
            chosen = score >= x
            expected = (member & chosen).sum() / (total or chosen.sum())
            assert y == pytest.approx(expected)
    dot = look.data(plots[0], "crossing")
    assert (dot["x"][0], dot["y"][0]) == pytest.approx(crossing(member, score))
    assert look.data(plots[0], "crossing value")["text"][0].startswith(f"{100 * dot['y'][0]:.1f} ± ")
    assert plots[0].x_range is plots[1].x_range


def test_bands_shrink_with_the_number_of_objects_and_one_method_is_enough(look, methods, member):
    def width(n: int) -> float:
        one = {"CNN": predictions(np.resize(methods["CNN"].score, n), np.resize(member, n), "CNN")}
        (plot,) = look.panels(threshold_curves(one, resamples=200))
        band = next(r for r in plot.renderers if hasattr(r.glyph, "y2") and hasattr(r.glyph, "y1"))
        low, high = (np.asarray(band.data_source.data[key]) for key in ("y1", "y2"))
        return float((high - low)[80:120].mean())

    assert width(16 * N) == pytest.approx(width(N) / 4, rel=0.35)


def test_perfect_methods_cross_at_one(look, member):
    (plot,) = look.panels(threshold_curves({"sure": predictions(member.astype(float), member, "sure")}))
    assert look.data(plot, "crossing")["y"] == [1.0]


def test_all_objects_together_have_one_curve_for_each_method(look, methods, member):
    plot = pooled_rocs(methods, title="Four clusters")
    assert plot.title.text == "Four clusters"
    for name, one in methods.items():
        assert any(f"{name}: AUC {auc(member, one.score):.3f}" in words for words in look.legend(plot))


def test_every_cluster_has_its_roc_curves(look, methods, member):
    hosts = np.resize(["A", "A", "B", "B", "B"], N).astype("<U4")
    hosts[:3] = "all"  # members and others
    hosts[3] = "bare"  # not one member
    catalogue = Table({"object_id": [f"o{k:03d}" for k in range(N)], "cluster": hosts})
    plots = look.panels(method_rocs(methods, catalogue))
    assert [plot.title.text.split(" (")[0] for plot in plots] == ["A", "B", "all"]
    here = hosts == "B"
    area = auc(member[here], methods["forest"].score[here])
    assert f"forest: AUC {area:.3f}" in look.legend(plots[1])
    assert f"({member[here].sum()} of {here.sum()} members)" in plots[1].title.text
    with pytest.raises(InputError, match="\\['host'\\] missing"):
        method_rocs(methods, catalogue, by="host")
    with pytest.raises(InputError, match="members and others"):
        method_rocs(methods, Table({"object_id": catalogue["object_id"], "cluster": catalogue["object_id"]}))


def test_agreement_rows_count_every_object_once(look, methods, member):
    table = agreement_table(methods)
    left, right = look.panels(method_agreement(table))
    members, others = look.data(right, "members"), look.data(right, "non-members")
    assert sum(members["objects"]) == member.sum()
    assert sum(members["value"]) == pytest.approx(100)
    assert sum(others["value"]) == pytest.approx(100)
    assert members["right"].tolist() == members["value"].tolist(), "bars start at zero"
    assert members["right_"][0] == "CNN + forest"
    assert members["right_"][-1] == "none"
    both = ((methods["CNN"].score > 0.5) == member) & ((methods["forest"].score > 0.5) == member)
    assert members["objects"][0] == (both & member).sum()
    assert look.data(left, "right")["y"][:2].tolist() == [0, 0]  # both right on top
    assert len(look.data(left, "wrong")["x"]) == len(look.data(left, "right")["x"]) == 4
    share = 100 * ((methods["CNN"].score > 0.5) == member).mean()
    assert left.xaxis[0].major_label_overrides[0] == f"CNN\n{share:.1f} %"


def test_agreement_without_non_members(look, methods):
    table = agreement_table(methods)
    table["non_members"] = 0
    _, right = look.panels(method_agreement(table))
    assert not [r for r in right.renderers if r.name == "non-members"]
    table["members"] = 0
    with pytest.raises(InputError, match="count an object"):
        method_agreement(table)
    with pytest.raises(InputError, match=r"lacks \['members'\]"):
        method_agreement(table["CNN", "non_members"])
    with pytest.raises(InputError, match="one bool column per method"):
        method_agreement(table["members", "non_members"])


def profile(seed: int, **options) -> Table:
    rng = np.random.default_rng(seed)
    edges = np.array([0, 0.05, 0.1, 0.15, 0.2, 0.25])
    return member_profile(np.sqrt(rng.uniform(0, 0.04, 80)), edges=edges, resamples=100, **options)


def test_profiles_are_one_at_the_scale_radius_and_gaps_stay_gaps(look):
    tables = {"R2248": profile(1), "M0416": profile(2)}
    left, right = look.panels(member_profiles(tables, title="Simulated"))
    line = look.data(left, "cumulative")
    assert dict(zip(line["x"], line["y"], strict=True))[0.15] == pytest.approx(1)
    assert isinstance(right.y_scale, LogScale)
    shown = look.data(right, "density")
    assert np.isnan(shown["y"][-1])  # no member beyond 0.2 R200
    assert shown["y"][0] == tables["R2248"]["density"][0]
    assert (np.asarray(shown["low"][:-1]) > 0).all()
    assert look.legend(left) == [f"{name} (N0 = {t.meta['n0']})" for name, t in tables.items()]
    bands = [r for r in right.renderers if hasattr(r.glyph, "y2") and hasattr(r.glyph, "y1")]
    assert [len(r.data_source.data["x"]) for r in bands] == [4, 4]


def test_linear_profiles_of_one_cluster(look):
    left, right = look.panels(member_profiles({"R2248": profile(1, band="poisson")}, log=False))
    assert not isinstance(right.x_scale, LogScale)
    assert look.data(right, "density")["y"][-1] == 0
    assert left.xaxis[0].axis_label == "R / R200"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: redshift_bins(binned()[0][["accuracy"]], bins=BINS), r"\['redshift_bin'\] missing"),
        (lambda: redshift_bins(binned()[0], bins={"b": (0.2, 0.3), "c": (0.3, 0.4)}),
         r"limits of every bin of folds, got none for \['a'\]"),
        (lambda: redshift_bins(binned()[0]["accuracy", "purity", "completeness", "redshift_bin"], bins=BINS),
         "the column 'f1' for 'F1', got"),
        (lambda: redshift_bins(binned()[0], bins=BINS, measures=["beauty"]),
         r"measures must be of .* got \['beauty'\]"),
        (lambda: training_size(grown()["train", "runs", "f1"]), r"\['bands'\] missing"),
        (lambda: configurations(measured(), by="bands"), r"\['bands'\] missing"),
        (lambda: configurations(measured(), names={"first": "mixed*"}), "one row per configuration"),
        (lambda: configurations(measured(), measures=["AUC"]), "'AUC'"),
        (lambda: training_ranges(Table({"cluster": ["a"], "f1": [0.5]})), r"\['training'\] missing"),
        (lambda: threshold_curves({}), "methods must hold"),
        (lambda: threshold_curves({"CNN": predictions(np.full(3, 0.4), np.zeros(3, dtype=bool), "CNN")}),
         "name a member"),
        (lambda: member_profiles({}), "one cluster at least"),
        (lambda: member_profiles({"A": profile(1)["inner", "members", "cumulative"]}),
         r"profiles\['A'\] must be from member_profile, it lacks \['outer'"),
    ],
)  # fmt: skip
def test_figures_refuse_what_does_not_fit(call, message):
    with pytest.raises(InputError, match=message):
        call()
