"""A synthetic stand-in for a medical study: scans, genes and tests of people who do not exist.

Every number here is drawn by this file. It has the form of a study that joins imaging, genetic
and clinical data to tell three groups apart, and none of its facts: nothing that a model learns
here says anything about any disease.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmcourse.data.observations import Level, Observations, levels

STUDY_MODALITIES = ("imaging", "genetic", "clinical")
STUDY_GROUPS = ("control", "mild impairment", "disease")
SCAN_SIZE, NUM_SITES, NUM_RISK_SITES, NUM_TESTS = 8, 64, 12, 6

_THIRD = 0.4307  # a standard normal is below −_THIRD, between, and above, a third each
_CAUSES = Float[Tensor, "n"]


def synthetic_study(
    count: int, *, noise: Level = 1.0, missing: Level = 0.0, generator: torch.Generator
) -> Observations:
    """Draw people with three hidden causes, each shown by one modality alone.

    group = 0, 1, 2 as (shrinkage + risk + decline) / √3 is low, middle, high, a third each

    Args:
        count: number of people.
        noise: ≥ 0, for all modalities or by name: the deviation of what is added to scans and
            tests; for genes, which are counted without error, what is added to the risk first.
        missing: the chance that a cell is missing, for all or by name; see `Observations.lose`.
        generator: source of randomness.

    Returns:
        `values` with imaging (n, 1, 8, 8, 8), a ball whose hollow grows with the shrinkage;
        genetic (n, 64), how many of two copies differ at each site, 0, 1 or 2; clinical (n, 6),
        test scores that fall with the decline. `labels` index `STUDY_GROUPS`; `hidden` (n, 3) the
        causes, each standard normal.

    Raises:
        ValueError: a count below 1, noise below 0, a chance outside [0, 1], an unknown name.

    Source: the form is that of Venugopalan et al. 2021, doi 10.1038/s41598-020-74399-w (MRI,
        single-nucleotide polymorphisms and clinical tests; disease, mild impairment, control).
        The data are invented.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    for_scans, for_genes, for_tests = levels("noise", noise, STUDY_MODALITIES)
    levels("missing", missing, STUDY_MODALITIES, most=1.0)
    causes = torch.randn(count, 3, generator=generator)
    shrinkage, risk, decline = causes.unbind(dim=1)
    values = {
        "imaging": _scans(shrinkage, for_scans, generator),
        "genetic": _genes(risk, for_genes, generator),
        "clinical": _tests(decline, for_tests, generator),
    }
    total = causes.sum(dim=1) / math.sqrt(3)
    groups = (total > -_THIRD).long() + (total > _THIRD).long()
    whole = Observations(values, torch.ones(count, 3).bool(), groups, causes)
    return whole.lose(missing, generator=generator)


def _scans(
    shrinkage: _CAUSES, noise: float, generator: torch.Generator
) -> Float[Tensor, "n 1 8 8 8"]:
    """A bright ball with a dark hollow in its middle, whose radius is 0.45 + 0.12 · shrinkage."""
    line = torch.linspace(-1, 1, SCAN_SIZE)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    radius = (x.square() + y.square() + z.square()).sqrt()
    hollow = (0.45 + 0.12 * shrinkage)[:, None, None, None]
    ball = torch.sigmoid((1.0 - radius) / 0.1) * torch.sigmoid((radius - hollow) / 0.1)
    return ball[:, None] + noise * torch.randn((len(ball), 1, *radius.shape), generator=generator)


def _genes(risk: _CAUSES, noise: float, generator: torch.Generator) -> Int[Tensor, "n 64"]:
    """Two copies of each site; at the first twelve a high risk makes the rare form likelier."""
    unsure = risk + noise * torch.randn(len(risk), generator=generator)
    common = torch.linspace(-1.5, 0.5, NUM_SITES)[torch.arange(NUM_SITES) * 37 % NUM_SITES]
    effect = (torch.arange(NUM_SITES) < NUM_RISK_SITES).float()
    chance = torch.sigmoid(common + unsure[:, None] * effect)
    return (torch.rand((2, *chance.shape), generator=generator) < chance).sum(dim=0)


def _tests(decline: _CAUSES, noise: float, generator: torch.Generator) -> Float[Tensor, "n 6"]:
    """Scores that fall with the decline, some tests more than others."""
    loading = torch.linspace(1.0, 0.25, NUM_TESTS)
    error = torch.randn(len(decline), NUM_TESTS, generator=generator)
    return -decline[:, None] * loading + noise * error
