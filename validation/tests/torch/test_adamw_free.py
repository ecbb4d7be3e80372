"""TuningFreeAdamW in torch: the rule of the reference, its averages, and its states."""

import copy
import io
import math
import pickle
import warnings

import numpy as np
import pytest
import torch
from problems import STEPS, draw_gradient, start
from torch.optim.swa_utils import update_bn

import hypergrad
from hypergrad.errors import ArgumentError, AveragesWarning, CheckpointError, NonFiniteError, RoundingWarning
from hypergrad.torch import TuningFreeAdamW
from hypergrad_reference import adamw_free, adamw_free_variants
from hypergrad_reference.adamw_free_schedule import VARIANTS

FORMS = {
    "exact": {},
    "K": {"variant": "K"},
    "delayed": {"delay": 1},
    "lazy": {"every": 8},
    "lazy-delayed": {"every": 8, "delay": 1},
    "decay": {"weight_decay": 0.1, "betas": (0.8, 0.99), "eps": 1e-6, "lr_start": 1e-3},
}
of_every_form = pytest.mark.parametrize("form", FORMS)

# Operations in another order, each rounded to float64, on numbers of the size of 1; 300 steps of contracting problems.
ROUNDING = 1e-11


def find_reference(options):
    """`init`, `step` and their constants."""
    variant, lazy = options.get("variant", "G"), options.get("every", 1)
    constants = VARIANTS[variant]._replace(delay=bool(options.get("delay")), every=lazy)
    of_adamw = {"G": adamw_free.ADAMW_G, "K": adamw_free.ADAMW_K}[variant]
    beta1, beta2 = options.get("betas", (of_adamw.beta1, of_adamw.beta2))
    of_adamw = of_adamw._replace(
        beta1=beta1, beta2=beta2, eps=options.get("eps", 1e-8), weight_decay=options.get("weight_decay", 0.0)
    )
    pair = (adamw_free.init, adamw_free.step)
    if lazy > 1:
        pair = (adamw_free_variants.init_lazy, adamw_free_variants.step_lazy)
    elif constants.delay:
        pair = (adamw_free_variants.init_delayed, adamw_free_variants.step_delayed)
    return pair, constants, of_adamw


def make_params(dtype=torch.float64):
    return [torch.nn.Parameter(torch.from_numpy(theta).to(dtype)) for theta in start()]


def walk(optimizer, params, first, last):
    for t in range(first, last):
        grads = draw_gradient(t, [p.detach().double().numpy() for p in params])
        for p, grad in zip(params, grads, strict=True):
            p.grad = None if grad is None else torch.from_numpy(grad).to(p.dtype)
        optimizer.step()


def run(steps, dtype=torch.float64, **options):
    params = make_params(dtype)
    optimizer = TuningFreeAdamW(params, **options)
    walk(optimizer, params, 1, steps + 1)
    return params, optimizer


def read_state(optimizer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AveragesWarning)
        return optimizer.state_dict()


def show(params, optimizer):
    return [p.detach().clone() for p in params], str(read_state(optimizer))


def is_same(one, other):
    return one[1] == other[1] and all(torch.equal(p, q) for p, q in zip(one[0], other[0], strict=True))


def save_in_memory(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# The rule


@of_every_form
def test_a_run_of_300_steps_is_that_of_the_reference_to_rounding(form):
    options = FORMS[form]
    (init, step), constants, of_adamw = find_reference(options)
    points, params = start(), make_params()
    optimizer = TuningFreeAdamW([{"params": params[:2]}, {"params": params[2:]}], **options)
    state = init(points, optimizer.learned_lr)
    for t in range(1, STEPS + 1):
        points, state, record = step(points, draw_gradient(t, points), state, constants, of_adamw)
        walk(optimizer, params, t, t + 1)
        for p, point in zip(params, points, strict=True):
            np.testing.assert_allclose(p.detach(), point, rtol=0, atol=ROUNDING)
        assert optimizer.last_record.reason == record.reason
        assert optimizer.last_record[:-1] == pytest.approx((*record[:4], record.reason, *record[5:-1]), nan_ok=True)
        assert optimizer.learned_lr == pytest.approx(record.lr, rel=ROUNDING)
    assert {record.reason for record in optimizer.records} >= {"no average yet", "climbing", "annealing"}
    for answer, point, kept in zip(optimizer.averages(), points, state.kept, strict=True):
        np.testing.assert_allclose(answer, point + (1 - constants.interpolation) * kept.lag_fast, atol=ROUNDING)


@of_every_form
def test_one_step_reads_numbers_of_the_device_once_and_delayed_none_of_its_own(form, monkeypatch):
    options = {**FORMS[form], "nonfinite": "propagate"}
    params, optimizer = run(20, **options)
    reads = []
    own = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: reads.append(tensor) or own(tensor))
    walk(optimizer, params, 21, 22)
    left = [tensor for tensor in reads if tensor.numel() == len(optimizer._plan.left)]
    assert len(left) == 1  # what the step before left
    assert len(reads) - len(left) == (0 if options.get("delay") else 1)


def test_large_tensors_are_cut_without_a_change_of_result(monkeypatch):
    from hypergrad.torch import _items

    whole = {form: run(40, **FORMS[form])[1] for form in FORMS}
    monkeypatch.setitem(_items.LIMITS, "cpu", 8)
    for form, other in whole.items():
        _, optimizer = run(40, **FORMS[form])
        assert optimizer.learned_lr == pytest.approx(other.learned_lr, rel=ROUNDING)
        for mine, its in zip(optimizer.averages(), other.averages(), strict=True):
            torch.testing.assert_close(mine, its, rtol=0, atol=ROUNDING)


@of_every_form
def test_compiled_loops_give_the_step(form):
    torch.compiler.reset()  # the graphs of other tests count against torch's limit for a function
    params, twins = make_params(), make_params()
    plain, optimizer = TuningFreeAdamW(params, **FORMS[form]), TuningFreeAdamW(twins, **FORMS[form])
    optimizer.compile(backend="eager", dynamic=False)
    walk(plain, params, 1, 25)
    walk(optimizer, twins, 1, 25)
    assert optimizer.learned_lr == pytest.approx(plain.learned_lr, rel=ROUNDING)
    for mine, its in zip(twins, params, strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=ROUNDING)


def test_a_complex_parameter_is_a_pair_of_reals():
    numbers = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 2)))
    z, x = torch.nn.Parameter(torch.view_as_complex(numbers.clone())), torch.nn.Parameter(numbers.clone())
    of_z, of_x = TuningFreeAdamW([z]), TuningFreeAdamW([x])
    for _ in range(20):
        z.grad, x.grad = z.detach().clone(), x.detach().clone()
        of_z.step()
        of_x.step()
    assert torch.equal(torch.view_as_real(of_z.averages()[0]), of_x.averages()[0])
    assert of_z.learned_lr == of_x.learned_lr > 1e-4


def test_a_schedule_on_top_scales_the_rate_that_is_found():
    params = make_params()
    optimizer = TuningFreeAdamW(params)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    for step in range(20):
        walk(optimizer, params, step + 1, step + 2)
        assert optimizer.effective_lrs() == pytest.approx([optimizer.learned_lr / (1 + step)])
        scheduler.step()
    assert optimizer.learned_lr > 1e-3


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_rate_of_0_moves_no_iterate_and_the_learned_rate_stays(weight_decay):
    params, optimizer = run(30, weight_decay=weight_decay)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    learned = None
    for t in range(31, 40):
        fast = [optimizer.state[p]["lag_fast"].clone() for p in params]
        iterates = [p.detach() - 0.7 * e for p, e in zip(params, fast, strict=True)]
        walk(optimizer, params, t, t + 1)
        for p, iterate in zip(params, iterates, strict=True):
            torch.testing.assert_close(p.detach() - 0.7 * optimizer.state[p]["lag_fast"], iterate, rtol=0, atol=1e-15)
        assert learned in (None, optimizer.learned_lr)  # the first such step still learns from the one before
        learned = optimizer.learned_lr


def test_weight_decay_bounds_the_rate():
    p = torch.nn.Parameter(torch.full((20,), 1e6))
    optimizer = TuningFreeAdamW([p], weight_decay=2.0, lr_start=0.2)
    for _ in range(30):
        p.grad = torch.ones(20)
        optimizer.step()
    assert optimizer.lr_histories[0].max() == 0.25
    optimizer.param_groups[0]["lr"] = 2 * optimizer.param_groups[0]["base_lr"]
    p.grad = torch.ones(20)
    optimizer.step()
    assert optimizer.effective_lrs()[0] <= 0.25


def test_maximize_climbs_and_learns_as_descent_does():
    p, q = (torch.nn.Parameter(torch.ones(5, dtype=torch.float64)) for _ in range(2))
    down, up = TuningFreeAdamW([p]), TuningFreeAdamW([q], maximize=True)
    for _ in range(20):
        p.grad, q.grad = p.detach().clone(), -p.detach().clone()
        down.step()
        up.step()
    assert torch.equal(p, q)
    assert down.learned_lr == up.learned_lr


@of_every_form
def test_a_gradient_that_is_not_finite_changes_nothing_and_may_be_skipped(form):
    params, optimizer = run(20, **FORMS[form])
    before = show(params, optimizer)
    for p in params:
        p.grad = torch.full_like(p, math.nan)
    with pytest.raises(NonFiniteError, match="gradient of parameter 0"):
        optimizer.step()
    assert is_same(show(params, optimizer), before)
    others, skipping = run(20, nonfinite="skip", **FORMS[form])
    for p in others:
        p.grad = torch.full_like(p, math.inf)
    skipping.step()
    walk(optimizer, params, 21, 40)
    walk(skipping, others, 21, 40)
    assert skipping.skipped == 1
    assert all(torch.equal(p, q) for p, q in zip(params, others, strict=True))
    assert skipping.learned_lr == optimizer.learned_lr


# What is asked for


@pytest.mark.parametrize(
    "make",
    [
        lambda x: TuningFreeAdamW([x], lr=1e-3),
        lambda x: TuningFreeAdamW([{"params": [x], "lr": 1e-3}]),
        lambda x: TuningFreeAdamW([x]).add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 1e-3}),
    ],
)
def test_a_learning_rate_is_refused_and_the_message_says_why(make):
    with pytest.raises(ArgumentError, match=r"lr=0.001: TuningFreeAdamW finds its rate itself, leave lr out; lr_start"):
        make(torch.nn.Parameter(torch.ones(3)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "H"}, "variant"),
        ({"delay": 2}, "delay=2: give 0, or 1"),
        ({"every": 0}, "every=0: give 1"),
        ({"lr_start": 0.0}, "lr_start=0.0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"nonfinite": "stop"}, "nonfinite"),
        ({"capturable": True, "nonfinite": "skip"}, "capturable=True: TuningFreeAdamW decides on the host.*delay=1"),
        ({"engine": "numpy", "broadcast": True}, "broadcast"),
    ],
)
def test_an_option_out_of_range_is_named(options, message):
    with pytest.raises(ArgumentError, match=message):
        TuningFreeAdamW([torch.nn.Parameter(torch.ones(3))], **options)


def test_the_start_of_a_variant_is_its_own_unless_given():
    def find(**options):
        optimizer = TuningFreeAdamW([torch.nn.Parameter(torch.ones(3))], **options)
        return optimizer.learned_lr, optimizer.param_groups[0]["betas"]

    assert find() == (1e-4, (0.7, 0.995))
    assert find(variant="K") == (1e-5, (0.9, 0.999))
    assert find(variant="K", lr_start=1e-3, betas=(0.5, 0.9)) == (1e-3, (0.5, 0.9))


def test_a_group_added_in_the_middle_starts_with_averages_of_its_own():
    params, optimizer = run(30)
    more = torch.nn.Parameter(torch.ones(7, dtype=torch.float64))
    optimizer.add_param_group({"params": [more], "weight_decay": 1e-2})
    for t in range(31, 50):
        more.grad = 2 * more.detach()
        walk(optimizer, params, t, t + 1)
    assert optimizer.state[more]["step"] == 19
    assert 0 < optimizer.averages()[-1].abs().max() < 1
    assert optimizer.effective_lrs() == [optimizer.learned_lr] * 2


def test_a_rate_that_is_set_is_where_the_search_goes_on():
    params, optimizer = run(30)
    optimizer.set_rate(1e-2)
    walk(optimizer, params, 31, 32)
    assert optimizer.last_record.lr_before == 1e-2


# Averages


@of_every_form
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_averaged_weights_are_handed_back_to_the_bit_after_an_exception(form, dtype):
    params, optimizer = run(120, dtype, **FORMS[form])
    before, answers = show(params, optimizer), optimizer.averages()

    def fail(lent):
        assert lent is optimizer
        for p, answer, again in zip(params, answers, optimizer.averages(), strict=True):
            assert torch.equal(p, answer)
            assert torch.equal(p, again)
            p.data.fill_(77)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), optimizer.averaged_weights() as lent:
        fail(lent)
    assert is_same(show(params, optimizer), before)
    assert any(not torch.equal(p, answer) for p, answer in zip(params, answers, strict=True))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("step", lambda o: o.step()),
        ("averaged_weights", lambda o: o.averaged_weights().__enter__()),
        ("use_averages", lambda o: o.use_averages()),
        ("load_state_dict", lambda o: o.load_state_dict(read_state(o))),
        ("load_numpy_state_dict", lambda o: o.load_numpy_state_dict({})),
        ("add_param_group", lambda o: o.add_param_group({"params": [torch.nn.Parameter(torch.ones(3))]})),
    ],
)
def test_nothing_else_is_done_while_weights_are_lent(name, call):
    params, optimizer = run(5)
    before = show(params, optimizer)
    with optimizer.averaged_weights(), pytest.raises(ArgumentError, match=f"{name} inside .*leave the block first"):
        call(optimizer)
    assert is_same(show(params, optimizer), before)


@of_every_form
def test_used_averages_are_the_parameters_and_training_goes_on_as_in_the_numpy_class(form):
    params, optimizer = run(110, engine="numpy", **FORMS[form])
    arrays = start()
    plain = hypergrad.TuningFreeAdamW(arrays, device="numpy", **FORMS[form])
    for t in range(1, 111):
        plain.step(gradients=draw_gradient(t, arrays))
    for mine, its in zip(optimizer.averages(), plain.averages(), strict=True):
        assert np.array_equal(mine, its)
    optimizer.use_averages()
    plain.use_averages()
    for t in range(111, 150):
        walk(optimizer, params, t, t + 1)
        plain.step(gradients=draw_gradient(t, arrays))
    assert all(np.array_equal(p.detach(), x) for p, x in zip(params, arrays, strict=True))
    assert optimizer.learned_lr == plain.current_lr


def make_model(norm=True):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 16), *([torch.nn.BatchNorm1d(16)] if norm else []), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(16, 1))


def draw(step, count=64):
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(step))
    return x, x.square().sum(1, keepdim=True)


def train(model, optimizer, first, last):
    for step in range(first, last):
        x, y = draw(step)
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        optimizer.step()


def test_averaged_state_dict_is_a_model_with_the_averages_and_leaves_this_one_alone():
    model = make_model()
    optimizer = TuningFreeAdamW(model.parameters())
    train(model, optimizer, 0, 60)
    before = copy.deepcopy(model.state_dict())
    found = optimizer.averaged_state_dict(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    twin = make_model()
    twin.load_state_dict(save_in_memory(found))
    for p, answer in zip(twin.parameters(), optimizer.averages(), strict=True):
        assert torch.equal(p, answer)
    assert torch.equal(twin[1].running_mean, model[1].running_mean)
    with optimizer.averaged_weights():
        inside = optimizer.averaged_state_dict(model)
        model[0].weight.data.zero_()
    assert all(torch.equal(inside[name], value) for name, value in found.items())


def test_statistics_of_batch_normalisation_are_made_for_the_averages_as_the_documents_say():
    model = make_model()
    optimizer = TuningFreeAdamW(model.parameters())
    train(model, optimizer, 0, 25)
    points = [p.detach().clone() for p in model.parameters()]
    with optimizer.averaged_weights():
        update_bn([draw(step)[0] for step in range(25)], model)
        inputs = torch.cat([draw(step)[0] for step in range(25)])
        mean = model[0](inputs).mean(0)
    # update_bn averages 25 batches of 64 with equal weights, which is the mean over all inputs, to float32.
    torch.testing.assert_close(model[1].running_mean, mean, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert (model[0](inputs).mean(0) - mean).abs().max() > 1e-3  # at the points of training it is another
    assert all(torch.equal(p, point) for p, point in zip(model.parameters(), points, strict=True))


def test_the_answer_is_as_good_as_the_mean_of_all_samples():
    generator = torch.Generator().manual_seed(0)
    p = torch.nn.Parameter(torch.full((100,), 3.0))
    optimizer = TuningFreeAdamW([p])
    for _ in range(1500):
        p.grad = p.detach() + torch.randn(100, generator=generator)
        optimizer.step()
    assert optimizer.averages()[0].norm() < 1.5 * math.sqrt(100 / 1500)  # 1: no method is better in expectation


# States


@of_every_form
@pytest.mark.parametrize("steps", [3, 32, 107])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_state_saved_with_weights_only_goes_on_bit_for_bit(form, steps, dtype):
    options = {**FORMS[form], "stochastic_rounding": dtype == torch.bfloat16}
    params, optimizer = run(steps, dtype, **options)
    state = save_in_memory(read_state(optimizer))
    twins = [torch.nn.Parameter(p.detach().clone()) for p in params]
    resumed = TuningFreeAdamW(twins, **options)
    resumed.load_state_dict(state)
    for p, q in zip(params, twins, strict=True):
        for name, kept in optimizer.state[p].items():
            if isinstance(kept, torch.Tensor):
                assert kept.dtype == resumed.state[q][name].dtype == torch.float32
    walk(optimizer, params, steps + 1, steps + 30)
    walk(resumed, twins, steps + 1, steps + 30)
    assert is_same(show(params, optimizer), show(twins, resumed))


@pytest.mark.parametrize("make", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
@of_every_form
def test_a_copy_goes_on_alike(make, form):
    params, optimizer = run(40, **FORMS[form])
    twins, twin = make((params, optimizer))
    for mine, one in ((params, optimizer), (twins, twin)):
        walk(one, mine, 41, 60)
    assert is_same(show(params, optimizer), show(twins, twin))


def test_a_state_of_another_form_or_without_averages_is_refused_and_nothing_changes():
    params, optimizer = run(5)
    before = show(params, optimizer)
    for options in ({"variant": "K"}, {"delay": 1}, {"every": 8}):
        _, other = run(5, **options)
        with pytest.raises(CheckpointError, match=next(iter(options))):
            optimizer.load_state_dict(read_state(other))
        arrays = start()
        plain = hypergrad.TuningFreeAdamW(arrays, device="numpy", **options)
        with pytest.raises(CheckpointError, match=next(iter(options))):
            optimizer.load_numpy_state_dict(plain.state_dict())
    theirs = torch.optim.AdamW(params)
    for p in params:
        p.grad = torch.zeros_like(p)
    theirs.step()
    with pytest.raises(CheckpointError, match="lag_fast"):
        optimizer.load_state_dict(theirs.state_dict())
    assert str(read_state(optimizer)) == before[1]


@of_every_form
def test_a_state_goes_to_the_numpy_class_and_back_to_rounding(form):
    _, whole = run(60, **FORMS[form])
    plain, middle = run(30, **FORMS[form])
    arrays = [p.detach().numpy().copy() for p in plain]
    numpy_class = hypergrad.TuningFreeAdamW(arrays, device="numpy", **FORMS[form])
    numpy_class.load_state_dict(middle.numpy_state_dict(numpy_class.state_dict()))
    for t in range(31, 45):
        numpy_class.step(gradients=draw_gradient(t, arrays))
    last = [torch.nn.Parameter(torch.from_numpy(x)) for x in arrays]
    back = TuningFreeAdamW(last, **FORMS[form])
    back.load_numpy_state_dict(numpy_class.state_dict())
    walk(back, last, 45, 61)
    for mine, its in zip(back.averages(), whole.averages(), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=ROUNDING)
    assert back.learned_lr == pytest.approx(whole.learned_lr, rel=ROUNDING)


def test_state_dict_says_once_which_weights_are_the_answer():
    _, optimizer = run(5)
    with pytest.warns(AveragesWarning, match=r"averaged_state_dict\(model\).*averaged_weights.*use_averages"):
        optimizer.state_dict()
    _, other = run(5)
    _, third = run(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.state_dict()
        TuningFreeAdamW(make_params()).state_dict()
        other.use_averages()
        other.state_dict()
        with third.averaged_weights():
            third.state_dict()
    assert repr(optimizer).startswith("TuningFreeAdamW")
    assert "averages()" in repr(optimizer)


def test_16_bits_are_warned_of():
    with pytest.warns(RoundingWarning, match="stochastic_rounding=True"):
        TuningFreeAdamW([torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))])
