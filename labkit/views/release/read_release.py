"""Read this release with astropy alone: ``python read_release.py`` checks it and prints what is in it."""

import hashlib
import json
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import QTable

here = Path(__file__).parent

for line in (here / "SHA256SUMS").read_text().splitlines():
    expected, name = line.split("  ", 1)
    found = hashlib.sha256((here / name).read_bytes()).hexdigest()
    if found != expected:
        raise SystemExit(f"{name} is damaged: its SHA-256 is {found}, not {expected}")

catalogue = QTable.read(here / "catalogue.fits")
same = QTable.read(here / "catalogue.vot")
if list(same["object_id"]) != list(catalogue["object_id"]):
    raise SystemExit("catalogue.fits and catalogue.vot differ")
provenance = json.loads((here / "provenance.json").read_text())
point = provenance["operating_point"]
print(provenance["title"])
print(f"{len(catalogue)} objects, {int(np.sum(catalogue['selected']))} selected for {point['goal']}")
print(f"expected contaminants among them: {point['contaminants']:.1f}")
print(catalogue["rank", "object_id", "ra", "dec", "p_calibrated", "selected"][:10])

purity = QTable.read(here / "purity.ecsv")
completeness = QTable.read(here / "completeness.ecsv")
half = completeness[completeness["completeness"] > 0.5]
for extent in np.unique(completeness["extent"]):
    fluxes = half["flux"][half["extent"] == extent]
    limit = f"from {fluxes.min():.2g}" if len(fluxes) else "nowhere in the range that was injected"
    print(f"clusters with a core of {extent:.0f}: more than half are selected {limit}")

with fits.open(here / "cutouts.fits") as cutouts:
    images, objects = cutouts["IMAGES"], cutouts["OBJECTS"]
    bands = [images.header[f"BAND{number}"] for number in range(1, images.data.shape[1] + 1)]
    print(
        f"cut-outs of {len(objects.data)} objects, bands {', '.join(bands)}, {images.data.shape[2:]} pixels"
    )
