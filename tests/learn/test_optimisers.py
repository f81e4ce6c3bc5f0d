"""The optimisers take the steps that the paper's Keras presets would take, computed by hand."""

from __future__ import annotations

import pytest
import torch

from labkit.experiment import SGD, Adadelta, AdamW
from labkit.learn.optimisers import KerasSchedule, build_optimiser


def walk(settings, steps=3, start=2.0):
    """Minimise x^2 / 2, whose gradient is x."""
    x = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimiser, schedule = build_optimiser([x], settings), KerasSchedule(settings)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = schedule.rate(step)
        x.grad = x.detach().clone()
        optimiser.step()
    return x.item()


def test_sgd_is_keras_nesterov_with_time_decay():
    x, velocity = 2.0, 0.0
    for step in range(3):
        rate, gradient = 0.1 / (1 + 0.5 * step), x
        velocity = 0.9 * velocity + gradient
        x -= rate * (gradient + 0.9 * velocity)
    assert walk(SGD(learning_rate=0.1, decay=0.5)) == pytest.approx(x, rel=1e-12)


def test_adadelta_is_zeilers():
    x, squares, moves = 2.0, 0.0, 0.0
    for step in range(3):
        rate, gradient = 1.0 / (1 + 0.95 * step), x
        squares = 0.95 * squares + 0.05 * gradient**2
        move = gradient * ((moves + 1e-7) / (squares + 1e-7)) ** 0.5
        moves = 0.95 * moves + 0.05 * move**2
        x -= rate * move
    assert walk(Adadelta()) == pytest.approx(x, rel=1e-12)


def test_adamw_decays_weights_apart_from_the_gradient():
    first = 2.0 * (1 - 1e-3 * 1e-2) - 1e-3
    assert walk(AdamW(), steps=1) == pytest.approx(first, rel=1e-7)


def test_time_decay_halves_the_rate_after_a_million_steps():
    schedule = KerasSchedule(SGD())
    assert schedule.rate(0) == 1e-4
    assert schedule.rate(1_000_000) == pytest.approx(5e-5)
    assert schedule.rate(153_000) == pytest.approx(1e-4 / 1.153)


def test_plateau_reduces_after_its_patience_and_not_below_the_minimum():
    settings = SGD(
        learning_rate=1.0, plateau_factor=0.5, plateau_patience=2, minimal_learning_rate=0.3, decay=0
    )
    schedule = KerasSchedule(settings)
    rates = []
    for accuracy in (0.6, 0.6, 0.60005, 0.6, 0.6, 0.7, 0.7, 0.7):
        schedule.end_epoch(accuracy)
        rates.append(schedule.rate(0))
    assert rates == [1, 1, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3]


def test_plateau_never_acts_at_the_values_of_table_4():
    schedule = KerasSchedule(SGD())
    for _ in range(100):
        schedule.end_epoch(0.5)
    assert schedule.rate(0) == 1e-4


def test_state_goes_on_where_it_was():
    settings = SGD(learning_rate=1.0, plateau_patience=2, minimal_learning_rate=0.1)
    one, two = KerasSchedule(settings), KerasSchedule(settings)
    for accuracy in (0.5, 0.4, 0.3, 0.3):
        one.end_epoch(accuracy)
    two.load_state_dict(one.state_dict())
    for schedule in (one, two):
        schedule.end_epoch(0.2)
    assert one.state_dict() == two.state_dict()
    assert one.base_rate == pytest.approx(0.75**2)
