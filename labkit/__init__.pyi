# The face of labkit. Data
from .experiment import Experiment as Experiment
from .learn import Model as Model
from .predictions import Estimates as Estimates
from .predictions import Predictions as Predictions
from .runfolder import RunFolder as RunFolder
from .sample import Sample as Sample
from .taxonomy import Scheme as Scheme

# Simulate
from .simulate import simulate_cores as simulate_cores
from .simulate import simulate_hunt as simulate_hunt
from .simulate import simulate_observation as simulate_observation
from .simulate import simulate_survey as simulate_survey
from .simulate.hst import simulate_fields as simulate_fields

# Read
from .sources import candidates_sample as candidates_sample
from .sources import cores_sample as cores_sample
from .sources import fetch_kosiba2020 as fetch_kosiba2020
from .sources import fields_sample as fields_sample
from .sources import members_sample as members_sample
from .sources import read_candidates as read_candidates
from .sources import read_export as read_export
from .sources import read_flat_answers as read_flat_answers
from .sources import read_images as read_images
from .sources import read_mosaics as read_mosaics
from .sources import read_observation as read_observation
from .sources import read_plates as read_plates
from .tables import read_catalogue as read_catalogue
from .tables import write_table as write_table
from .votes import read_tree as read_tree

# Prepare
from .images import cutouts as cutouts
from .images import normalise as normalise
from .images.morphology import morphology as morphology
from .sample import concatenate as concatenate
from .sample import with_labels as with_labels
from .sample import with_split as with_split

# Learn
from .experiment import preset as preset
from .experiment import read_experiments as read_experiments
from .learn import find_models as find_models
from .learn import out_of_fold as out_of_fold
from .learn import predict as predict
from .learn import train as train
from .learn import histories as histories
from .run.sweep import sweep as sweep
from .learn import trained_sets as trained_sets
from .learn import training_table as training_table

# Find, vote
from .finder import find_candidates as find_candidates
from .sources import write_regions as write_regions
from .votes import consensus as consensus
from .votes import dawid_skene as dawid_skene
from .votes import weights as weights

# Measure
from .evaluate import Resampling as Resampling
from .evaluate import compare as compare
from .evaluate import join_published as join_published
from .evaluate import leak as leak
from .evaluate import measure as measure
from .evaluate import member_profile as member_profile
from .evaluate import photometric_members as photometric_members
from .evaluate import published as published
from .evaluate import purity_curve as purity_curve
from .evaluate import rank as rank
from .evaluate import roc_curve as roc_curve
from .evaluate import sentences as sentences
from .photometry import red_sequences as red_sequences

# Explain
from .explain import band_index as band_index
from .explain import class_activation as class_activation
from .explain import deletion as deletion
from .explain import filter_maps as filter_maps
from .explain import randomisation_check as randomisation_check
from .explain import sensitivity as sensitivity

# See
from .views.plots import bars as bars
from .views.confusion import confusion as confusion
from .views.plots import curves as curves
from .views.gallery import gallery as gallery
from .views.distributions import histogram as histogram
from .views.inspector import inspect_errors as inspect_errors
from .views.plots import points as points
from .views.roc import roc as roc
from .views.distributions import scatter as scatter
from .views import save_page as save_page
from .views.export import save_figure as save_figure
from .views import show as show
from .views.tables import table as table

__version__: str
