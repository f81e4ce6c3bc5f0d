"""Weights by equation 1 (one's own answer counts, ties agree), and what is dropped before them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.votes import Answers, drop_logged_out, drop_repeats, weights


def by_hand(tree, rows):
    """C and Q of each user and question by counting in dictionaries."""
    votes = Counter((s, a) for _, s, way in rows for a in way)
    given, agreeing = Counter(), Counter()
    for user, subject, way in rows:
        for answer in way:
            question = tree.question_of[answer]
            rivals = [votes[subject, b] for b in np.flatnonzero(tree.question_of == question)]
            given[user, question] += 1
            agreeing[user, question] += votes[subject, answer] == max(rivals)
    return given, agreeing


@given(data=st.data())
def test_equation_1_by_hand(hunt, answers_of, classified, data):
    rows = data.draw(classified)
    result = weights(answers_of(hunt, rows))
    count, agreeing = by_hand(hunt, rows)
    for u, user in enumerate(result.users):
        for q in range(6):
            assert result.given[u, q] == count[user, q]
            assert result.agreeing[u, q] == agreeing[user, q]
            share = agreeing[user, q] / count[user, q] if count[user, q] else np.nan
            assert result.values[u, q] == pytest.approx(share, nan_ok=True)


def test_table_lists_those_who_answered(hunt, answers_of):
    answers = answers_of(hunt, [("a", "s", (1,)), ("b", "s", (0, 4))], logged_out=["a"])
    table = weights(drop_logged_out(answers)).table()
    assert list(table["user"]) == ["b"]
    assert table["answers"][0] == 2
    assert table["weight_T1"][0] == 1
    assert np.isnan(table["weight_T5"][0])


def test_first_of_repeats_by_time_and_finished_before_unfinished(hunt, answers_of):
    rows = [("a", "s", (1,)), ("a", "s", (2,)), ("a", "t", (0,)), ("a", "t", (2,))]
    rows += [("b", "s", (0,)), ("b", "s", (0,))]
    answers = answers_of(hunt, rows, order=[9, 1, 1, 5, 7, 6])
    kept = drop_repeats(answers)
    assert list(kept.order) == [1, 5, 6]
    assert list(kept.ending) == [2, 2, -1]
    assert list(kept.answer) == [2, 2, 0]
    assert len(drop_repeats(answers, keep="none")) == 0
    out = answers_of(hunt, [("a", "s", (1,)), ("a", "s", (2,)), ("b", "s", (1,))], logged_out=["a"])
    assert [len(drop_repeats(out, keep=keep)) for keep in ("first", "none")] == [3, 3]
    with pytest.raises(InputError, match="keep must be 'first' or 'none', got 'last'"):
        drop_repeats(answers, keep="last")


@given(data=st.data())
def test_dropping_repeats_leaves_one_of_each_pair(hunt, answers_of, classified, data):
    rows = data.draw(classified)
    answers = answers_of(hunt, rows)
    pairs = Counter((u, s) for u, s, _ in rows)
    kept = drop_repeats(answers)
    assert len(kept) == len(pairs)
    assert len(kept.answer) == sum(len(rows[i][2]) for i in kept.order)
    assert len(drop_repeats(kept)) == len(kept)
    assert len(drop_repeats(answers, keep="none")) == sum(n == 1 for n in pairs.values())


def test_answers_that_do_not_fit_together(hunt, answers_of):
    good = answers_of(hunt, [("a", "s", (1,)), ("b", "s", (0, 4))])
    columns = {name: getattr(good, name) for name in ("user", "subject", "logged_in", "order")}
    columns |= {"classification": good.classification, "answer": good.answer, "ending": good.ending}
    names = (good.tree, good.users, good.subjects)
    for changed, message in (
        ({"user": good.user[:1]}, "user, subject, ending, logged_in, order must have one same length"),
        ({"user": np.array([0, 2])}, "user must hold numbers from 0 to 1, got 0 to 2"),
        ({"user": np.array([-1, 0])}, "user must hold numbers from 0 to 1, got -1 to 0"),
        ({"ending": np.array([0, 4])}, "ending must hold ending answers of the tree or -1"),
    ):
        with pytest.raises(InputError, match=message):
            Answers(*names, **columns | changed)
    with pytest.raises(InputError, match=r"keep must have the shape \(2,\), got \(3,\)"):
        good.take(np.ones(3, dtype=bool))
    assert repr(good) == "Answers(3 answers in 2 classifications, 1 subjects, 2 volunteers, tree 'hunt')"
