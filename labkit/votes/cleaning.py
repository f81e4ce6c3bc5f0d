"""Which classifications count: logged-out volunteers and repeats (Kosiba et al. 2020, section 2)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from labkit.errors import InputError
from labkit.votes.answers import Answers

__all__ = ["drop_logged_out", "drop_repeats"]


def drop_logged_out(answers: Answers) -> Answers:
    """The classifications of volunteers who were logged in.

    Somebody who is not logged in cannot be told from others at the same address, nor from himself on another
    day, so neither repeats nor skill can be known (Kosiba et al. 2020, section 2).
    """
    return answers.take(answers.logged_in)


def drop_repeats(answers: Answers, *, keep: Literal["first", "none"] = "first") -> Answers:
    """One classification at most of each subject by each volunteer.

    Kosiba et al. 2020, section 2, did not consider classifications "done on each object multiple times by the
    same volunteer". We read it as: the first one counts, the others do not; ``"none"`` is the other reading.

    Parameters
    ----------
    answers : Answers
        Classifications in any order.
    keep : {"first", "none"}
        Of several, keep the first that came to an end (the first of all where none did), or none of them.

    Returns
    -------
    Answers
        Without the repeats.

    Raises
    ------
    InputError
        If `keep` is neither word.
    """
    if keep not in ("first", "none"):
        raise InputError(f"keep must be 'first' or 'none', got {keep!r}")
    pair = answers.user.astype(np.int64) * len(answers.subjects) + answers.subject
    by_pair = np.lexsort((answers.order, answers.ending < 0, pair))
    starts = np.r_[True, pair[by_pair][1:] != pair[by_pair][:-1]][: len(pair)]
    if keep == "none":
        starts &= np.r_[starts[1:], True][: len(pair)]
    stays = np.zeros(len(pair), dtype=bool)
    stays[by_pair[starts]] = True
    return answers.take(stays)
