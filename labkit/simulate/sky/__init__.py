"""What there is: clusters and their galaxies, nearby galaxies, stars, AGN, and the light that they send.

In X-rays: `components`, `clusters`, `xray_sources`; in the optical: `profiles`, `bodies`,
`cluster_galaxies`, `nearby_galaxies`, `number_counts`.
"""
