"""Operations on pixels: cut-outs by world coordinates, regridding, normalisation and channel stacking."""

from labkit.images.coordinates import pixel_to_sky, sky_to_pixel
from labkit.images.cutouts import coverage, cutout, cutouts, regrid
from labkit.images.normalise import normalise, stack
from labkit.images.optical import optical_numbers
from labkit.images.rates import count_rates
from labkit.images.sky import level_table, sky_scales, sky_table
from labkit.images.stamps import stamp_photometry, with_number_band
from labkit.images.stretches import asinh, fixed_asinh, percentile
