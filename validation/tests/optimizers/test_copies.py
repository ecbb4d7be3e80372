"""A copy of an optimizer is a twin: the same numbers, parameters of its own, and from there the same steps."""

import copy
import pickle

import numpy as np
import pytest
from trajectories import TRAJECTORIES, find_gradient, start_run

from hypergrad import AdamW
from hypergrad.errors import ArrayTypeError, DeviceNotFoundError

BY_NAME = {trajectory.name: trajectory for trajectory in TRAJECTORIES}
NAMES = (
    "SGDHD-nesterov",
    "AdamHD",
    "AdamW-amsgrad",
    "HypergradientAdamW-own-rates",
    "AutoHypergradientAdamW-derivative",
)
STEPS = 32
WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))} | {
    f"pickle-{protocol}": lambda thing, protocol=protocol: pickle.loads(pickle.dumps(thing, protocol))
    for protocol in (2, 5)
}


class Param:
    """A parameter as frameworks have them."""

    def __init__(self, data):
        self.data, self.grad = data, None


class Model:
    """Parameters, and the optimizer that trains them."""

    def __init__(self, name, device, wrap):
        trajectory = BY_NAME[name]
        self.params = [wrap(theta) for theta in start_run()]
        self.opt = trajectory.optimizer(trajectory.group(self.params), device=device, **trajectory.options)

    def list_arrays(self):
        return [param if isinstance(param, np.ndarray) else param.data for param in self.params]

    def train(self, steps):
        for step in steps:
            self.opt.step(gradients=find_gradient(self.list_arrays(), step))

    def show(self):
        state = self.opt.state_dict()
        arrays = [{name: kept.tobytes() for name, kept in entry.pop("arrays").items()} for entry in state["tensors"]]
        histories = {name: history.tobytes() for name, history in state.pop("histories").items()}
        records = list(map(str, self.opt.records))
        return [array.tobytes() for array in self.list_arrays()], arrays, histories, str(state), records


def list_owners(opt):
    return [owner for group in opt.param_groups for owner in group["params"]]


@pytest.mark.parametrize("wrap", [lambda theta: theta, Param], ids=["arrays", "objects"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_model_and_optimizer_copied_together_keep_their_link(name, way, wrap, device):
    for where in ("numpy", device):
        model = Model(name, where, wrap)
        model.train(range(STEPS))
        twin = way(model)
        assert twin.show() == model.show()
        assert all(mine is theirs for mine, theirs in zip(list_owners(twin.opt), twin.params, strict=True))
        before = model.show()
        twin.train(range(STEPS, STEPS + 5))
        assert model.show() == before
        model.train(range(STEPS, STEPS + 5))
        assert twin.show() == model.show() != before
        assert twin.opt.device == model.opt.device


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_optimizer_copied_alone_moves_parameters_that_its_groups_tell(way, device):
    for where in ("numpy", device):
        model = Model("AdamW-amsgrad", where, Param)
        model.train(range(3))
        before = model.show()
        twin = way(model.opt)
        owners = list_owners(twin)
        for owner, param in zip(owners, model.params, strict=True):
            owner.grad = np.ones_like(owner.data)
            assert owner is not param
            assert owner.data.tobytes() == param.data.tobytes()
        twin.step()
        assert model.show() == before
        assert all((owner.data != param.data).all() for owner, param in zip(owners, model.params, strict=True))
        assert list(twin.state) == [id(owner) for owner in owners]


@pytest.mark.parametrize("name", NAMES)
def test_shallow_copy_has_a_state_of_its_own_for_the_same_parameters(name, device):
    for where in ("numpy", device):
        model, calm = (Model(name, where, np.asarray) for _ in range(2))
        for one in (model, calm):
            one.train(range(STEPS))
        twin = copy.copy(model.opt)
        assert all(mine is theirs for mine, theirs in zip(list_owners(twin), model.params, strict=True))
        before = model.show()[1:]
        twin.step(gradients=find_gradient(model.params, STEPS))
        assert model.show()[1:] == before
        calm.train(range(STEPS, STEPS + 1))
        assert [x.tobytes() for x in model.params] == [x.tobytes() for x in calm.params]
        assert twin.state_dict()["steps"] == STEPS + 1


class Knot:
    """A parameter that holds its optimizer, which a copy meets first."""

    def __init__(self, device):
        self.opt = None
        self.data, self.grad, self.itself = np.array([1.0, 2.0]), np.array([1.0, -1.0]), [self]
        self.opt = AdamW([self], lr=0.5, device=device)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_parameter_that_holds_its_optimizer_is_copied(way, device):
    for where in ("numpy", device):
        model = Knot(where)
        model.opt.step()
        twin = way(model)
        assert list_owners(twin.opt) == [twin] == twin.itself
        for one in (model, twin):
            one.opt.step()
        assert twin.data.tobytes() == model.data.tobytes()
        assert way(model.opt).state_dict()["steps"] == 2


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_copy_of_a_copy_goes_on(way):
    model = Model("AutoHypergradientAdamW", "numpy", Param)
    model.train(range(20))
    twin = way(way(model))
    for one in (model, twin, way(twin)):
        one.train(range(20, 25))
    assert twin.show() == model.show()


def test_device_and_context_are_opened_again(device):
    cl = pytest.importorskip("pyopencl")
    for given in (device, cl.Context([device])):
        opt = AdamW([np.ones(3)], lr=0.5, device=given)
        opt.step(gradients=[np.ones(3)])
        for way in WAYS.values():
            twin = way(opt)
            twin.step(gradients=[np.ones(3)])
            assert twin.device == opt.device


def test_twin_whose_device_is_not_there_still_gives_its_state(monkeypatch, device):
    data = pickle.dumps(AdamW([np.ones(3)], device=device))
    monkeypatch.setattr("hypergrad_kernels.device.list_devices", list)
    twin = pickle.loads(data)
    with pytest.raises(DeviceNotFoundError):
        twin.step(gradients=[np.ones(3)])
    other = AdamW(twin.param_groups, device="numpy")
    other.load_state_dict(twin.state_dict())
    other.step(gradients=[np.ones(3)])
    assert list_owners(other)[0] is list_owners(twin)[0]


def test_pyopencl_arrays_are_refused_with_a_remedy_that_works(device):
    cl = pytest.importorskip("pyopencl")
    from pyopencl import array as cl_array

    context = cl.Context([device])  # held here: Intel's queue does not hold it
    queue = cl.CommandQueue(context)
    theta = cl_array.to_device(queue, np.ones(3, np.float32))
    opt = AdamW([theta], lr=0.5)
    opt.step(gradients=[np.ones(3, np.float32)])
    for way in (copy.deepcopy, pickle.dumps):
        with pytest.raises(ArrayTypeError, match=r"params\[0\] is a pyopencl array, .*load_state_dict"):
            way(opt)
    twin_theta = theta.copy()
    twin = AdamW([twin_theta])
    twin.load_state_dict(opt.state_dict())
    shallow = copy.copy(opt)
    for one in (opt, twin):
        one.step(gradients=[np.ones(3, np.float32)])
    assert theta.get().tobytes() == twin_theta.get().tobytes()
    shallow.step(gradients=[np.ones(3, np.float32)])
    assert (theta.get() < twin_theta.get()).all()
