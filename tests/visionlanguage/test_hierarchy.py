"""CHiLS by cases worked by hand, and against a slow loop."""

import pytest
import torch
from helpers import rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.visionlanguage import chils_predict, label_sets

plain = unchecked("mmcourse.visionlanguage.hierarchy")
# two classes: 0 has the kinds 0 and 1, class 1 the kind 2
PARENT = torch.tensor([0, 0, 1])


@pytest.mark.parametrize(
    ("subs", "supers", "with_weights", "without"),
    [
        # 0.40·0.5 beats 0.35·0.5 and 0.25·0.5: the best kind decides either way
        ([0.25, 0.40, 0.35], [0.5, 0.5], 0, 0),
        # the best kind is 2 (class 1); 0.3·0.8 = 0.24 > 0.4·0.2 = 0.08 turns it round
        ([0.30, 0.30, 0.40], [0.8, 0.2], 0, 1),
        # class 0 has more in sum (0.6), but no kind of it is better than 0.4: not the sum rule
        ([0.30, 0.30, 0.40], [0.5, 0.5], 1, 1),
        # a class of probability zero is never answered
        ([0.00, 0.90, 0.10], [0.0, 1.0], 1, 0),
    ],
)
def test_worked_by_hand(subs, supers, with_weights: int, without: int) -> None:
    p_sub, p_super = torch.tensor([subs]), torch.tensor([supers])
    assert chils_predict(p_sub, p_super, PARENT).tolist() == [with_weights]
    assert chils_predict(p_sub, p_super, PARENT, reweight=False).tolist() == [without]


def test_the_sum_rule_would_be_seen() -> None:
    p_sub, p_super = torch.tensor([[0.3, 0.3, 0.4]]), torch.tensor([[0.5, 0.5]])
    sums = torch.zeros(1, 2).index_add(1, PARENT, p_sub)
    assert sums.argmax(dim=1).tolist() == [0]
    assert chils_predict(p_sub, p_super, PARENT).tolist() == [1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 5), more=st.integers(0, 6))
def test_it_is_the_loop_of_the_paper(seed: int, classes: int, more: int) -> None:
    random = torch.Generator().manual_seed(seed)
    extra = torch.randint(classes, (more,), generator=random)
    parent = torch.cat([torch.arange(classes), extra])
    p_sub = torch.randn(4, classes + more, generator=random).softmax(dim=1)
    p_super = torch.randn(4, classes, generator=random).softmax(dim=1)
    for reweight in (True, False):
        wanted = []
        for row in range(4):
            best = max(
                range(len(parent)),
                key=lambda s: p_sub[row, s] * (p_super[row, parent[s]] if reweight else 1),
            )
            wanted.append(int(parent[best]))
        assert chils_predict(p_sub, p_super, parent, reweight=reweight).tolist() == wanted


def test_one_kind_each_named_like_its_class_changes_nothing() -> None:
    """Squaring keeps the order: with the classes as their own kinds CHiLS is plain zero-shot."""
    p = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    assert torch.equal(chils_predict(p, p, torch.arange(6)), p.argmax(dim=1))


def test_label_sets_are_cleaned() -> None:
    kinds = {"dog": ["poodle", "hot dog", "poodle", "Dog toy"], "cat": [], "car": ["carp"]}
    names, parent = label_sets(kinds)
    assert names == ["poodle dog", "hot dog", "Dog toy", "dog", "cat", "carp car", "car"]
    assert parent.tolist() == [0, 0, 0, 0, 1, 2, 2]
    names, parent = label_sets(kinds, keep_class=False)
    assert names == ["poodle dog", "hot dog", "Dog toy", "cat", "carp car"]
    assert parent.tolist() == [0, 0, 0, 1, 2]


def test_bad_input_is_named() -> None:
    p_sub, p_super = torch.full((2, 3), 1 / 3), torch.full((2, 2), 1 / 2)
    with rejects("p_sub must be a distribution"):
        chils_predict(p_sub * 2, p_super, PARENT)
    with rejects("p_super must be a distribution"):
        chils_predict(p_sub, p_super * float("nan"), PARENT)
    with rejects("parent must name classes 0 … 1"):
        chils_predict(p_sub, p_super, torch.tensor([0, 1, 2]))
    with rejects("every class needs a sub-label, none has class 1"):
        chils_predict(p_sub, p_super, torch.tensor([0, 0, 0]))
    with rejects(r"need .* got \(2, 3\), \(1, 2\) and \(3,\)"):
        plain.chils_predict(p_sub, p_super[:1], PARENT)
    with rejects(r"need .* got \(2, 3\), \(2, 2\) and \(2,\)"):
        plain.chils_predict(p_sub, p_super, PARENT[:2])
    with rejects("at least one class"):
        label_sets({})
    with rejects("need names"):
        label_sets({"dog": [" "]})
