"""Groups that are edited by hand are refused until they are put back; each remedy is tried here."""

import numpy as np
import pytest
from snapshots import EVERY, FULL, Param, make, take_snapshot

from hypergrad.errors import ArgumentError


def append_param(groups):
    groups[0]["params"].append(np.ones(2))


def remove_param(groups):
    del groups[0]["params"][0]


def replace_param(groups):
    groups[0]["params"][0] = np.ones(3)


def replace_by_equal(groups):
    groups[0]["params"][0] = groups[0]["params"][0].copy()


def clear_params(groups):
    groups[0]["params"].clear()


def swap_params(groups):
    groups[0]["params"].reverse()


def replace_list(groups):
    groups[0]["params"] = [np.ones(3)]


def replace_by_array(groups):
    groups[0]["params"] = groups[0]["params"][0]


def replace_by_none(groups):
    groups[0]["params"] = None


def drop_key(groups):
    del groups[0]["params"]


def append_group(groups):
    groups.append({**groups[0], "params": [np.ones(2)]})


def append_empty_group(groups):
    groups.append({**groups[0], "params": []})


def append_junk(groups):
    groups.append(None)


def remove_group(groups):
    del groups[1]


def remove_all(groups):
    groups.clear()


def swap_groups(groups):
    groups.reverse()


def move_param(groups):
    groups[1]["params"].append(groups[0]["params"].pop())


EDITS = [
    append_param, remove_param, replace_param, replace_by_equal, clear_params, swap_params, replace_list,
    replace_by_array, replace_by_none, drop_key, append_group, append_empty_group, append_junk, remove_group,
    remove_all, swap_groups, move_param,
]  # fmt: skip


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("edit", EDITS)
def test_edited_groups_are_refused_until_they_are_put_back(kind, edit):
    params = [np.ones(3), np.ones(4), np.ones(5)]
    opt = make(kind, [{"params": params[:2]}, {"params": params[2:]}], **FULL[kind])
    grads = [np.ones(3), np.ones(4), np.ones(5)]
    opt.step(gradients=grads)
    before = take_snapshot(opt, params)
    groups = list(opt.param_groups)
    contents = [{**group, "params": list(group["params"])} for group in groups]
    edit(opt.param_groups)
    calls = [
        lambda: opt.step(gradients=grads),
        lambda: opt.step(gradients=[*grads, np.ones(2)]),
        opt.zero_grad,
        opt.state_dict,
        lambda: opt.add_param_group({"params": [np.ones(2)]}),
    ]
    for call in calls:
        with pytest.raises(ArgumentError, match=r"param_groups\[\d\] does not hold.*add_param_group takes up more"):
            call()
    opt.param_groups[:] = groups
    for group, content in zip(opt.param_groups, contents, strict=True):
        group.update(content)
    assert take_snapshot(opt, params) == before
    opt.step(gradients=grads)


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("edit", ["another key", "a key less"])
def test_options_of_a_group_that_are_not_its_own_are_refused(kind, edit):
    opt = make(kind, **FULL[kind])
    if edit == "another key":
        opt.param_groups[0]["momemtum"] = 0.5
    else:
        del opt.param_groups[0]["weight_decay"]
    words = r"^the keys of the group are .*: give params, lr, .*weight_decay, and no other"
    with pytest.raises(ArgumentError, match=words):
        opt.step(gradients=[np.ones(3)])


@pytest.mark.parametrize("kind", EVERY)
def test_remedies_for_other_parameters_work(kind):
    resting, other = np.ones(3), Param(np.ones(3))
    opt = make(kind, [resting, other])
    opt.step(gradients=[None, np.ones(3)])  # a None lets a parameter rest
    assert (resting == 1).all()
    first, other.data = other.data, np.full(3, 5.0)  # .data may become another array
    opt.step(gradients=[None, np.ones(3)])
    kept = first.copy()
    opt.step(gradients=[None, np.ones(3)])
    assert (other.data < 5).all()
    assert (first == kept).all()
