"""Pictures of votes: the tree's boxes and shares, the agreement bars."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import QTable
from bokeh.models import ColumnDataSource, MultiLine, Rect

from labkit.errors import InputError
from labkit.views.votes import agreement, decision_tree
from labkit.votes import read_tree


def boxes(plot) -> dict[str, list]:
    (renderer,) = [each for each in plot.renderers if isinstance(each.glyph, Rect)]
    return dict(renderer.data_source.data)


def test_every_question_and_ending_answer_has_a_box():
    tree = read_tree("hunt")
    data = boxes(decision_tree(tree, title="The Hunt"))
    assert sorted(data["whole"]) == sorted([*(q.text for q in tree.questions), *tree.endings])
    lines = [each for each in decision_tree(tree).renderers if isinstance(each.glyph, MultiLine)]
    assert len(lines[0].data_source.data["xs"]) == len(tree.choices)


def test_boxes_do_not_overlap():
    for name in ("hunt", "presence_absence"):
        data = boxes(decision_tree(read_tree(name), counts=np.ones(len(read_tree(name).choices))))
        x, y, height = (np.array(data[key]) for key in ("x", "y", "height"))
        for column in np.unique(x):
            here = np.flatnonzero(x == column)
            here = here[np.argsort(y[here])]
            bottoms, tops = (y + height / 2)[here], (y - height / 2)[here]
            assert (bottoms[:-1] <= tops[1:]).all()


def test_ending_answers_have_the_colour_of_their_class():
    data = boxes(decision_tree(read_tree("hunt")))
    colour = dict(zip(data["whole"], data["colour"], strict=True))
    assert colour["nearby cluster"] == colour["distant cluster"]
    assert colour["point"] == colour["edge"] != colour["nearby cluster"]


def test_shares_are_of_all_classifications():
    tree = read_tree("hunt")
    counts = np.zeros(len(tree.choices))
    counts[[0, tree.endings["edge"], tree.endings["point"]]] = 150, 50, 30
    data = boxes(decision_tree(tree, counts=counts))
    share = dict(zip(data["whole"], data["share"], strict=True))
    assert (share["edge"], share["point"], share["no emission"]) == ("25%", "15%", "0.0%")
    assert share[tree.questions[1].text] == "75%"
    assert share[tree.questions[0].text] == ""


def test_counts_need_one_number_an_answer():
    with pytest.raises(InputError, match="counts must have one number an answer, 14, got"):
        decision_tree(read_tree("hunt"), counts=np.zeros(3))


def ends(fractions: list[float]) -> QTable:
    return QTable(
        {
            "ending": ["point", "not a nearby cluster", "nearby cluster"],
            "class": ["non-cluster", "non-cluster", "cluster"],
            "experts": ["point source", "", "low-z cluster"],
            "answers": [1200, 30, 8],
            "fraction": fractions,
        }
    )


def test_agreement_leaves_out_what_experts_cannot_say():
    plot = agreement(ends([0.25, np.nan, 0.75]), title="Fig. 6")
    (source,) = {each.data_source for each in plot.renderers}
    assert isinstance(source, ColumnDataSource)
    assert source.data["ending"] == ["point", "nearby cluster"]
    assert source.data["text"] == ["25% of 1,200", "75% of 8"]
    assert plot.y_range.factors == ["nearby cluster", "point"]
    assert "agree with the experts" in plot.xaxis.axis_label


def test_agreement_needs_a_fraction():
    with pytest.raises(InputError, match="must have ending answers with a fraction"):
        agreement(ends([np.nan, np.nan, np.nan]))
