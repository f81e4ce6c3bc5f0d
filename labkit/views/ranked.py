"""The page of a ranked catalogue: what was done, the field, the cut-outs best first, the list."""

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from bokeh.models import Column, Div

from labkit.evaluate.trainings import candidates
from labkit.learn import model_card
from labkit.sample import Sample
from labkit.sources import Observation
from labkit.views import gallery, sky
from labkit.views.tables import bullet_list, table

_CUT_OUTS, _ROWS = 24, 200
_TENTHS = ("counts", "extent", "extension_likelihood", "detection_likelihood", "off_axis")
_COLUMNS = ("object_id", "class", "c1", *_TENTHS, "coverage")


def notes(models: str, raw: Sample, *, left_out: int = 0) -> list[str]:
    """What a reader of a ranked list must know: the models' card, and where these objects leave its range."""
    card, said = model_card(models), []
    if card:
        measured, (low, high) = card["measured"], card["valid_for"]["counts_in_cutout"]
        said.append(
            f"{models}: {card['title']}; AUC {measured['auc']} of {measured['on']}. {card['caution']}"
        )
        counts = np.nansum(raw.band("xray"), axis=(1, 2))
        if outside := int(np.sum((counts < low) | (counts > high))):
            said.append(
                f"{outside} of {len(raw)} cut-outs hold fewer than {low:g} or more than {high:g} counts, the "
                "range of 98 % of the training images: trust their probabilities less"
            )
    if "candidate" in raw.catalogue.colnames:
        points = int(np.sum(~candidates(raw.catalogue)))
        said.append(
            f"{len(raw) - points} of {len(raw)} sources are extended, so candidates; the other {points} "
            "stand last, however probable"
        )
    own = "partial" if "partial_cutout" not in raw.catalogue.colnames else "partial_cutout"
    if partial := int(np.sum(raw.catalogue[own])):
        said.append(f"{partial} of {len(raw)} cut-outs reach beyond the exposed field (column partial)")
    if left_out:
        said.append(f"{left_out} candidates left out: off the image, or on no plate as a whole")
    return said


def ranked_page(ranked: Table, raw: Sample, observation: Observation, *, notes: Sequence[str]) -> Column:
    """A page of candidates of an observation that `labkit.evaluate.rank` ranked, from their raw cut-outs.

    `notes` stand first: the models, what the probabilities are meant for, warnings.
    """
    p = next(name for name in ranked.colnames if name.startswith("p_"))
    shown = [name for name in _COLUMNS if name in ranked.colnames]
    places = [name for name in ("object_id", "class") if name in shown]
    field = sky.field(
        observation.image, wcs=observation.wcs, candidates=ranked["ra", "dec", p, *places], score=p,
        sigma_px=1.0, title="Candidates, the most likely numbered",
    )  # fmt: skip
    best = raw.select(ranked["object_id"][:_CUT_OUTS].tolist())
    titles = [f"{row['rank']}: p = {row[p]:.2f}" for row in ranked[:_CUT_OUTS]]
    sheets = [
        gallery.gallery(
            gallery.thumbnails(best.band(band), sigma_px=1.0 if band == "xray" else 0.0),
            titles, details={"object_id": best.object_ids.tolist()}, title=f"Best first, {band}",
        )
        for band in best.bands
    ]  # fmt: skip
    p_columns = {p: ".3f", "p_std": ".3f"}
    forms = dict.fromkeys(_TENTHS, ".1f") | {"coverage": ".2f"} | p_columns
    listed = table(
        ranked["rank", *p_columns, *shown], longest=_ROWS, caption="The ranked list.",
        formats={name: form for name, form in forms.items() if name in (*p_columns, *shown)},
    )  # fmt: skip
    return Column(Div(text=str(bullet_list(notes))), field, *sheets, Div(text=str(listed)))
