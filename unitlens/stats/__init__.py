"""Running statistics: each sees the data once, batch by batch, and two halves merge into the whole (paper.md 6.2).

`accumulator` the laws · `quantile` thresholds t_u · `topk` strongest images · `paircount` co-occurrence and IoU ·
`moments` mean, variance, range. Shape letters: B images, U units, K label planes, C concepts, G categories, P pixels.
"""
