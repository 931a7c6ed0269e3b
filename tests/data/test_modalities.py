"""Machines seen four ways and the invented study: what is shown, what is missing, what repeats."""

import pytest
import torch
from helpers import rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.data import (
    MODALITIES,
    SHOWS,
    SIGNS,
    STUDY_MODALITIES,
    Observations,
    describe_all,
    machine_features,
    observe_machines,
    read_note,
    synthetic_study,
)
from mmcourse.data.modalities import _PLAIN, NOTE_WORDS

plain = unchecked("mmcourse.data.modalities")
table = unchecked("mmcourse.data.observations")
MAKERS = {"machines": observe_machines, "study": synthetic_study}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_table_of_the_slide() -> None:
    """One row an observation, a cell a modality, a label of 0 or 1."""
    machines = observe_machines(50, generator=seeded())
    shapes = {name: tuple(column.shape[1:]) for name, column in machines.values.items()}
    assert shapes == {"text": (8,), "image": (3, 16, 16), "audio": (256,), "sensor": (2, 32)}
    assert machines.names == MODALITIES
    assert machines.present.all()
    wanted = [int(sum(signs) >= 2) for signs in machines.hidden.tolist()]
    assert machines.labels.tolist() == wanted
    assert 0.3 < machines.labels.float().mean() < 0.7


# ---- what each modality shows, read back by rules that know the signals ----


def test_clean_photos_show_heat_and_wear() -> None:
    machines = observe_machines(60, noise=0.0, generator=seeded())
    for scene, (hot, worn, _) in zip(
        describe_all(machines.values["image"]), machines.hidden.tolist(), strict=True
    ):
        assert scene.objects[0].color == ("red" if hot else "blue")
        assert scene.objects[0].shape == ("star" if worn else "circle")


def test_clean_recordings_show_speed_and_wear() -> None:
    machines = observe_machines(200, noise=0.0, generator=seeded())
    sound = machines.values["audio"]
    pitch = torch.fft.rfft(sound.clamp(-0.5, 0.5)).abs()[:, 1:].argmax(dim=1) + 1
    assert torch.equal(pitch > 22, machines.hidden[:, 2])
    assert torch.equal(sound.amax(dim=1) > 0.6, machines.hidden[:, 1])


def test_clean_gauges_show_heat_and_speed() -> None:
    machines = observe_machines(100, noise=0.0, generator=seeded())
    temperature, current = machines.values["sensor"].unbind(dim=1)
    assert torch.equal(temperature[:, -1] > 0, machines.hidden[:, 0])
    swings = torch.fft.rfft(current).abs().argmax(dim=1)
    assert torch.equal(swings == 5, machines.hidden[:, 2])
    assert set(swings.tolist()) == {2, 5}


def test_clean_notes_say_signs_truly_but_not_always() -> None:
    machines = observe_machines(300, noise=0.0, generator=seeded())
    said = torch.zeros(300, 3)
    for row, (words, signs) in enumerate(
        zip(machines.values["text"].tolist(), machines.hidden.tolist(), strict=True)
    ):
        for word in words:
            if word < _PLAIN:
                sign, value = divmod(word - 1, 6)
                said[row, sign] += 1
                assert (value >= 3) == signs[sign]
    assert said.max() == 1
    assert 0.6 < said.mean() < 0.74


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), sign=st.integers(0, 2))
def test_a_modality_is_blind_to_what_it_does_not_show(seed: int, sign: int) -> None:
    """Flip one hidden sign, draw all else alike: those that do not show it stay as they were."""
    kept = plain.torch.rand

    def flipped(*size, generator=None):  # type: ignore[no-untyped-def]
        drawn = kept(*size, generator=generator)
        if size == (4, 3) and flipped.first:
            flipped.first = False
            drawn[:, sign] = (drawn[:, sign] + 0.5) % 1
        return drawn

    before = observe_machines(4, generator=seeded(seed))
    flipped.first = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmcourse.data.modalities.torch.rand", flipped)
        after = observe_machines(4, generator=seeded(seed))
    assert torch.equal(before.hidden[:, sign], ~after.hidden[:, sign])
    for name in MODALITIES[1:]:
        same = torch.equal(before.values[name], after.values[name])
        assert same == (SIGNS[sign] not in SHOWS[name])


def test_the_phase_of_a_hum_is_no_feature() -> None:
    """A recording that starts later has the same spectrum; its samples differ."""
    machines = observe_machines(5, generator=seeded())
    later = Observations(
        {**machines.values, "audio": machines.values["audio"].roll(40, dims=1)},
        machines.present, machines.labels, machines.hidden,
    )  # fmt: skip
    here, there = machine_features(machines)["audio"], machine_features(later)["audio"]
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(machines.values["audio"], later.values["audio"], atol=0.1)


def test_term_counts() -> None:
    machines = observe_machines(6, generator=seeded())
    counts = machine_features(machines)["text"]
    for ids, row in zip(machines.values["text"], counts, strict=True):
        words = read_note(ids).split()
        assert row.tolist() == [words.count(word) for word in NOTE_WORDS[1:]]


# ---- noise and missing cells ----


def test_noise_by_name() -> None:
    clean = observe_machines(200, noise=0.0, generator=seeded(3))
    noisy = observe_machines(200, noise={"audio": 0.7}, generator=seeded(3))
    for name in ("text", "image", "sensor"):
        assert torch.equal(clean.values[name], noisy.values[name])
    gap = noisy.values["audio"] - clean.values["audio"]
    assert gap.std().item() == pytest.approx(0.7, rel=0.02)


@pytest.mark.parametrize("maker", MAKERS)
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), chance=st.floats(0, 1))
def test_missing_cells_are_zero_and_never_all(maker: str, seed: int, chance: float) -> None:
    whole = MAKERS[maker](40, generator=seeded(seed))
    seen = MAKERS[maker](40, missing=chance, generator=seeded(seed))
    assert seen.present.any(dim=1).all()
    for name, here in zip(seen.names, seen.present.T, strict=True):
        assert torch.equal(seen.values[name][here], whole.values[name][here])
        assert not seen.values[name][~here].any()
    if maker == "machines":
        for row, here in zip(machine_features(seen).values(), seen.present.T, strict=True):
            assert not row[~here].any()


def test_the_share_that_goes_missing(generator: torch.Generator) -> None:
    seen = observe_machines(4000, missing={"image": 0.5, "text": 0.1}, generator=generator)
    share = (~seen.present).float().mean(dim=0)
    torch.testing.assert_close(share, torch.tensor([0.1, 0.5, 0.0, 0.0]), atol=0.03, rtol=0)
    alone = observe_machines(4000, missing=1.0, generator=generator).present
    assert (alone.sum(dim=1) == 1).all()
    assert (alone.float().mean(dim=0) - 0.25).abs().max() < 0.03  # any of them as likely


def test_rows_and_columns() -> None:
    machines = observe_machines(10, generator=seeded())
    some = machines[torch.tensor([7, 2])]
    assert len(some) == 2
    assert torch.equal(some.values["sensor"][1], machines.values["sensor"][2])
    assert torch.equal(machines[:3].labels, machines.labels[:3])
    left = machines.without("image", "audio")
    assert left.present.tolist() == [[True, False, False, True]] * 10
    assert torch.equal(machines.only("text", "sensor").present, left.present)
    assert not left.values["image"].any()
    assert machines.present.all()  # the original stays


def test_the_same_seed_gives_the_same_data() -> None:
    for maker in MAKERS.values():
        one, two = (maker(5, missing=0.3, generator=seeded(4)) for _ in range(2))
        assert all(torch.equal(one.values[name], two.values[name]) for name in one.names)
        assert torch.equal(one.present, two.present)


# ---- the invented study ----


def test_each_modality_of_the_study_shows_one_cause() -> None:
    people = synthetic_study(4000, noise=0.2, generator=seeded())
    assert people.names == STUDY_MODALITIES
    assert people.values["imaging"].shape == (4000, 1, 8, 8, 8)
    assert set(people.values["genetic"].unique().tolist()) == {0, 1, 2}
    assert (torch.bincount(people.labels) / 4000 - 1 / 3).abs().max() < 0.03
    measured = torch.stack(
        [
            -people.values["imaging"].sum(dim=(1, 2, 3, 4)),
            people.values["genetic"][:, :12].sum(dim=1).float(),
            -people.values["clinical"].sum(dim=1),
        ]
    )
    related = torch.corrcoef(torch.cat([measured, people.hidden.T]))[:3, 3:]
    assert (related.diagonal() > 0.7).all()
    assert (related - torch.diag(related.diagonal())).abs().max() < 0.06
    other = people.values["genetic"][:, 12:].float().sum(dim=1)
    assert torch.corrcoef(torch.stack([other, people.hidden[:, 1]]))[0, 1].abs() < 0.05


def test_bad_input(generator: torch.Generator) -> None:
    machines = observe_machines(3, generator=generator)
    for make in MAKERS.values():
        with rejects("count must be at least 1, got 0"):
            make(0, generator=generator)
        with rejects("noise must be from 0"):
            make(3, noise=-1.0, generator=generator)
        with rejects("missing must be from 0 to 1.0"):
            make(3, missing=1.5, generator=generator)
        with rejects("got 'smell'"):
            make(3, noise={"smell": 1.0}, generator=generator)
    with rejects("chance must be from 0 to 1.0"):
        machines.lose(2.0, generator=generator)
    with rejects("modalities are text, image, audio, sensor; got 'taste'"):
        machines.without("taste")
    with rejects("observation 0 has every modality missing"):
        machines.without(*MODALITIES)
    gone = machines.present.clone()
    gone[1] = False
    with rejects("observation 1 has every modality missing"):
        table.Observations(machines.values, gone, machines.labels, machines.hidden)
    with rejects("as many rows everywhere"):
        table.Observations(machines.values, machines.present, gone[:2, 0], machines.hidden)
