"""Real input: XMM-Newton observations, candidates, plates, mosaics, published training set, volunteers."""

from labkit.sources.accept import accept_cores, read_accept
from labkit.sources.candidates import read_candidates, write_regions
from labkit.sources.cores import cores_sample
from labkit.sources.csvrows import Export, ReadReport
from labkit.sources.images import read_images
from labkit.sources.kosiba2020 import fetch_kosiba2020
from labkit.sources.members import counts_table, fields_sample, measure_fields, members_sample
from labkit.sources.mosaics import Mosaics, read_mosaics
from labkit.sources.xmm import Observation, candidates_sample, cut_plates, read_observation, read_plates
from labkit.sources.zooniverse import read_export, read_flat_answers, read_workflow
