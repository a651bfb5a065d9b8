"""Surgery against an independent statement of the equations, and its properties."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dgsforensics.trainer.surgery import operate

ORDERS = ("reference", "paper")
REDUCTIONS = ("reference", "per_sample")


def by_hand(
    task: list[list[float]],
    teacher: list[list[float]] | None,
    text: list[list[float]] | None,
    weight: float,
    order: str,
    reduction: str,
) -> list[list[float]]:
    """The equations, one number at a time."""
    size = len(task)
    result = []
    for i, row in enumerate(task):
        help = [0.0] * len(row)
        if teacher is not None:
            scale = weight / size if reduction == "reference" else weight
            help = [scale * min(g, 0.0) for g in teacher[i]]
        harm = [0.0] * len(row)
        if text is not None:
            raised = [max(g, 0.0) for g in text[i]]
            length = math.sqrt(math.fsum(g * g for g in raised)) + 1e-6
            harm = [g / length for g in raised]
        subject = [g + h for g, h in zip(row, help, strict=True)] if order == "reference" else row
        along = math.fsum(g * h for g, h in zip(subject, harm, strict=True))
        kept = [g - along * h for g, h in zip(subject, harm, strict=True)]
        if order == "paper":
            kept = [g + h for g, h in zip(kept, help, strict=True)]
        result.append(kept)
    return result


def gradients(rows: int = 5, width: int = 7, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    task, teacher, text = torch.randn(3, rows, width, generator=generator, dtype=torch.float64)
    return task, teacher, text


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("parts", ["both", "teacher", "text", "none"])
def test_it_is_what_the_equations_say(order, reduction, parts) -> None:
    task, teacher, text = gradients()
    teacher = teacher if parts in ("both", "teacher") else None
    text = text if parts in ("both", "text") else None
    found = operate(task, teacher, text, weight=0.7, order=order, reduction=reduction).gradient
    expected = by_hand(
        task.tolist(),
        None if teacher is None else teacher.tolist(),
        None if text is None else text.tolist(),
        0.7,
        order,
        reduction,
    )
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_the_orders_and_the_reductions_differ() -> None:
    results = [
        operate(*gradients(), order=order, reduction=reduction).gradient
        for order in ORDERS
        for reduction in REDUCTIONS
    ]
    for i, one in enumerate(results):
        assert not any(torch.allclose(one, other) for other in results[i + 1 :])


def test_nothing_given_is_changed() -> None:
    given_ = gradients()
    before = [g.clone() for g in given_]
    operate(*given_)
    assert all(torch.equal(a, b) for a, b in zip(given_, before, strict=True))


matrices = st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(0, 10_000)).map(
    lambda shape: gradients(*shape)
)


@given(matrices, st.floats(0, 10), st.sampled_from(REDUCTIONS))
@settings(deadline=None)
def test_what_is_left_is_orthogonal_to_the_harmful_direction(given_, weight, reduction) -> None:
    task, teacher, text = given_
    text[:, 0] = 1 + text[:, 0].abs()
    harm = text.clamp(min=0)
    out = operate(task, teacher, text, weight=weight, reduction=reduction).gradient
    along = (out * harm).sum(1).abs() / harm.norm(dim=1)
    # The 1e-6 beside the length (1 or more here) leaves two millionths of what lay along it.
    assert bool((along <= 2.1e-6 * (task.norm(dim=1) + weight * teacher.norm(dim=1))).all())


@given(matrices, st.sampled_from(ORDERS))
@settings(deadline=None)
def test_without_harm_the_task_gradient_passes(given_, order) -> None:
    task, _, text = given_
    out = operate(task, None, -text.abs(), order=order)
    assert torch.equal(out.gradient, task)
    assert out.removed == 0 and out.added == 0


@given(matrices, st.floats(0.01, 10))
@settings(deadline=None)
def test_the_scale_of_the_text_gradient_does_not_matter(given_, scale) -> None:
    task, teacher, text = given_
    text[:, 0] = 1 + text[:, 0].abs()  # far from the epsilon beside the length
    one = operate(task, teacher, text).gradient
    other = operate(task, teacher, text * scale).gradient
    assert torch.allclose(one, other, atol=1e-3)


@given(matrices, st.sampled_from(ORDERS), st.sampled_from(REDUCTIONS))
@settings(deadline=None)
def test_suppression_never_lengthens_and_is_done_after_once(given_, order, reduction) -> None:
    task, _, text = given_
    text[:, 0] = 1 + text[:, 0].abs()  # far from the epsilon beside the length
    once = operate(task, None, text, order=order, reduction=reduction)
    twice = operate(once.gradient, None, text, order=order, reduction=reduction)
    assert bool((once.gradient.norm(dim=1) <= task.norm(dim=1) + 1e-9).all())
    assert 0 <= once.removed <= 1 + 1e-9
    assert torch.allclose(twice.gradient, once.gradient, atol=1e-3)


@given(matrices, st.sampled_from(ORDERS), st.sampled_from(REDUCTIONS), st.integers(1, 4))
@settings(deadline=None)
def test_parts_of_a_batch_are_operated_on_as_the_whole(given_, order, reduction, parts) -> None:
    task, teacher, text = given_
    how = {"order": order, "reduction": reduction, "batch": len(task)}
    whole = operate(task, teacher, text, order=order, reduction=reduction).gradient
    for part in range(parts):
        mine = slice(part, None, parts)
        if len(task[mine]):
            out = operate(task[mine], teacher[mine], text[mine], **how).gradient
            assert torch.allclose(out, whole[mine], atol=1e-12)


@given(matrices, st.floats(0.01, 5), st.sampled_from(REDUCTIONS))
@settings(deadline=None)
def test_alignment_only_pushes_up_what_the_teacher_calls_beneficial(given_, weight, red) -> None:
    task, teacher, _ = given_
    change = operate(task, teacher, None, weight=weight, reduction=red).gradient - task
    # Descending a negative gradient makes the feature grow.
    assert bool((change[teacher >= 0].abs() < 1e-12).all())
    assert bool((change[teacher < -1e-6] < 0).all())


def test_how_much_was_done_is_told() -> None:
    task = torch.tensor([[3.0, 4.0]])
    out = operate(task, None, torch.tensor([[1.0, 0.0]]))
    assert float(out.removed) == pytest.approx(0.6, abs=1e-5)
    out = operate(task, torch.tensor([[-5.0, 2.0]]), None, weight=0.2, reduction="per_sample")
    assert float(out.added) == pytest.approx(0.2)


def test_a_gradient_of_nothing_stays_nothing() -> None:
    zero = torch.zeros(2, 3)
    out = operate(zero, zero, zero)
    assert torch.equal(out.gradient, zero)
    assert float(out.removed) == 0 and float(out.added) == 0
