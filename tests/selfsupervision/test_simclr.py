"""SimCLR's networks and the distillation of v2, and NT-Xent beside pytorch-metric-learning."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects, unchecked
from lightly.models.modules.heads import SimCLRProjectionHead
from pytorch_metric_learning.losses import NTXentLoss

from mmcourse.selfsupervision import ConvEncoder, ProjectionHead, distillation_loss, nt_xent
from mmcourse.selfsupervision.views import two_views

plain = unchecked("mmcourse.selfsupervision.simclr")
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_nt_xent_agrees_with_pytorch_metric_learning(temperature: float) -> None:
    z = torch.randn(2, 17, 9, generator=torch.Generator().manual_seed(0))
    z1, z2 = z[0].requires_grad_(), z[1].requires_grad_()
    ours = nt_xent(z1, z2, temperature)
    theirs = NTXentLoss(temperature=temperature)(torch.cat([z1, z2]), torch.arange(17).repeat(2))
    torch.testing.assert_close(ours, theirs, **CLOSE)
    for a, b in zip(
        torch.autograd.grad(ours, [z1, z2]), torch.autograd.grad(theirs, [z1, z2]), strict=True
    ):
        torch.testing.assert_close(a, b, **CLOSE)


def test_the_head_is_lightlys() -> None:
    """Two layers with batch normalisation after both, without bias in the last."""
    theirs = randomise(SimCLRProjectionHead(6, 6, 4, num_layers=2, batch_norm=True))
    ours = ProjectionHead(6, 4)
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    with torch.no_grad():
        for mine, other in pairs:
            mine.copy_(other)
    x = torch.randn(8, 6)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_the_layers_of_the_head() -> None:
    head = randomise(ProjectionHead(6, 4, depth=3, hidden=5)).eval()
    h = torch.randn(7, 6)
    assert torch.equal(head(h, 0), h)
    first = head(h, 1)
    assert first.shape == (7, 5)
    assert (first >= 0).all()
    assert (first > 0).any()
    last = head.layers[2](head.layers[1](first))
    assert torch.equal(head(h), last)
    assert (head(h) < 0).any(), "no ReLU at the end"
    assert not [name for name, _ in head.named_parameters() if name.endswith("0.bias")]
    for wrong in (-1, 4):
        with rejects(f"upto must be from 0 to 3, got {wrong}"):
            head(h, wrong)
    with rejects("sizes must be positive"):
        ProjectionHead(6, 0)


@pytest.mark.parametrize("size", [8, 17, 32])
def test_features_of_a_picture(size: int) -> None:
    encoder = ConvEncoder((4, 6, 8)).eval()
    x = torch.rand(3, 3, size, size) * 2 - 1
    h = encoder(x)
    assert h.shape == (3, encoder.width)
    torch.testing.assert_close(h[1:2], encoder(x[1:2]))
    assert (h >= 0).all()
    with rejects("widths and channels must be positive"):
        ConvEncoder(())


def test_distillation_is_the_sum_of_the_paper() -> None:
    student = torch.randn(5, 4, requires_grad=True)
    teacher = torch.randn(5, 4, requires_grad=True)
    p = (teacher / 2).exp() / (teacher / 2).exp().sum(1, keepdim=True)
    q = (student / 2).exp() / (student / 2).exp().sum(1, keepdim=True)
    loss = distillation_loss(student, teacher, 2.0)
    torch.testing.assert_close(loss, -(p * q.log()).sum(1).mean())
    loss.backward()
    assert teacher.grad is None
    torch.testing.assert_close(student.grad, ((q - p) / 2 / 5).detach())
    entropy = -(p * p.log()).sum(1).mean()
    torch.testing.assert_close(distillation_loss(teacher, teacher, 2.0), entropy)


def test_distillation_towards_certainty_is_cross_entropy() -> None:
    labels, student = torch.tensor([2, 0, 1]), torch.randn(3, 4)
    sure = F.one_hot(labels, 4) * 1e3
    torch.testing.assert_close(distillation_loss(student, sure), F.cross_entropy(student, labels))


def test_bad_logits_are_refused() -> None:
    with rejects("of the same shape"):
        plain.distillation_loss(torch.zeros(2, 3), torch.zeros(2, 4))
    with rejects("temperature must be positive, got 0"):
        plain.distillation_loss(torch.zeros(2, 3), torch.zeros(2, 3), 0)
    extreme = distillation_loss(torch.full((2, 3), 1e30), torch.full((2, 3), -1e30))
    assert extreme.isfinite()


def test_one_batch_can_be_learnt(generator: torch.Generator) -> None:
    torch.manual_seed(0)
    x = torch.rand(8, 3, 8, 8, generator=generator) * 2 - 1
    views = two_views(x, generator=generator, scale=(0.8, 1.0), strength=0.2, drop=0.0)
    encoder, head = ConvEncoder((8, 16)), ProjectionHead(16, 8)
    both = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(both, 1e-2)
    before = copy.deepcopy(both)
    for _ in range(60):
        z = head(encoder(torch.cat(views)))
        loss = nt_xent(z[:8], z[8:], 0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    assert all(not torch.equal(a, b) for a, b in zip(before, both, strict=True))


def test_alike_pictures_give_finite_gradients() -> None:
    encoder, head = ConvEncoder((4, 8)), ProjectionHead(8, 4)
    z = head(encoder(torch.ones(8, 3, 8, 8)))
    loss = nt_xent(z[:4], z[4:], 0.1)
    loss.backward()
    assert loss.isfinite()
    for weight in [*encoder.parameters(), *head.parameters()]:
        assert weight.grad is not None
        assert weight.grad.isfinite().all()
