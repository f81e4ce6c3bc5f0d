"""What a network looks at: maps of its filters, the bands they answer to, class activation and its checks.

Functions that compute take ``device`` ("auto", "cpu", "cuda", "cuda:<n>"), ``precision`` ("auto", "fp32",
"bf16"; default the experiment's), ``batch_size`` (images at a time, default 16) and ``accept`` (as
`labkit.learn.Model.check`).
"""

from labkit.explain.bands import band_index, index_summary, sensitivity, typical_filters
from labkit.explain.checks import deletion, randomisation_check, randomise
from labkit.explain.layers import layers
from labkit.explain.maps import class_activation, filter_maps
from labkit.explain.rings import common_scale, over_folds, ring_means, ring_occlusion, ring_table
