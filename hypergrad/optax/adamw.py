"""AdamW that learns its rate: `hypergradient_adamw`, and `auto_hypergradient_adamw` with a normalised hypergradient."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hypergrad._core.checks import check_order
from hypergrad._core.options import check_options
from hypergrad.errors import ArgumentError
from hypergrad.optax._given import check_alike, check_mask, check_numbers, check_steps, find_base, is_known
from hypergrad.optax._learn import Last, Plan, Tree, learn, widen
from hypergrad_reference import adamw_auto, adamw_auto_rule, adamw_hd


def hypergradient_adamw(
    learning_rate: optax.ScalarOrSchedule = 1e-3,
    hyper_lr: float = 1e-7,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    mask: Any | Callable[[Any], Any] | None = None,
    *,
    lr_min: float = 1e-6,
    lr_max: float = 1.0,
    log_scale: bool = False,
    decay_in_hypergradient: bool = True,
    base_lr: float | None = None,
    delay: Literal[0, 1] = 0,
    nonfinite: Literal["propagate", "skip"] = "propagate",
) -> optax.GradientTransformationExtraArgs:
    """AdamW whose rate descends its own gradient (Baydin et al. 2018, applied to AdamW).

        h     = -s (<g_t, d_{t-1}> + wd <g_t, theta_t>) / (1 - lr wd),   d = m_hat / (sqrt(v_hat) + eps)
        alpha = clip(alpha - hyper_lr h, lr_min, lr_max),   then one step of AdamW with the rate lr = alpha s

    s is learning_rate(t) / base_lr: 1 without a schedule. s, wd and lr in h are those of the step before.

    learning_rate             a number, the first rate, or a schedule of optax, which alpha then scales. Default 0.001
    hyper_lr                  the pace at which alpha learns, in units of alpha / h; 0 keeps it. A number in [0, inf),
                              default 1e-07
    b1, b2                    the shares that the running means of g and of g^2 keep in a step. Numbers in [0, 1),
                              defaults 0.9 and 0.999
    eps                       is added to the root of the mean of g^2, in units of the gradient. A number in (0, inf),
                              default 1e-08
    weight_decay              decoupled, theta (1 - lr weight_decay), in units of 1 / lr. A number in [0, inf), default
                              0.01
    mask                      of the weight decay, as optax.adamw takes it: a tree of bools, or a function that makes
                              one of the parameters. None decays all. Default None
    lr_min, lr_max            bounds of alpha. Numbers in [0, inf), defaults 1e-06 and 1.0
    log_scale                 adapt log(alpha) instead of alpha; needs lr_min > 0. Default False
    decay_in_hypergradient    h is the derivative with weight decay; False leaves wd out of h. Default True
    base_lr                   the unit of the schedule, and the rate that alpha begins with. None is learning_rate, or
                              what a schedule begins with, which must not be 0. Default None
    delay                     1: h_t moves the rate of step t+1, see `hypergrad_reference.delayed`. Default 0
    nonfinite                 NaN or inf in a gradient or in h: "propagate" into the parameters, never into the rate, or
                              "skip" the step and count it in `skipped`. Default "propagate"

    Moments are float32 for parameters of 16 bits, else of their dtype; two arrays as large as the parameters, as in
    optax.adamw. Updates have the dtype of the gradients.
    Returns an optax.GradientTransformationExtraArgs, whose state is a `HypergradientState`.
    Raises ArgumentError for an option out of range, unless jit traces its value, and from update without params or for
    trees that do not belong together; ArrayTypeError for shapes that differ, and for integers, which no rate moves.
    Source: `hypergrad_reference.adamw_hd`.

    >>> opt = hypergradient_adamw(0.5, hyper_lr=0.125, b1=0.5, b2=0.75, eps=1.0, weight_decay=0.0, lr_max=8.0)
    >>> x = jnp.array([8.0, -1.0])
    >>> state = opt.init(x)
    >>> for gradient in ([1.0, 3.0], [2.0, 4.0]):
    ...     updates, state = opt.update(jnp.array(gradient), state, x)
    ...     x = optax.apply_updates(x, updates)
    >>> float(state.hypergradient), float(state.lr), state.inner_state.adam.mu
    (-4.0, 1.0, Array([1.25, 2.75], dtype=float32))
    """
    check_options(log_scale=log_scale, decay_in_hypergradient=decay_in_hypergradient)
    check_numbers(hyper_lr=hyper_lr)
    if log_scale and is_known(lr_min) and not lr_min > 0:
        raise ArgumentError(f"lr_min={lr_min!r} with log_scale=True: give a positive one")
    rule = adamw_hd.Rule(hyper_lr, log_scale)
    inner = _AdamW(b1, b2, eps, weight_decay, mask, decay_in_hypergradient)
    return _learn_adamw(inner, rule, learning_rate, base_lr, lr_min, lr_max, delay, nonfinite)


def auto_hypergradient_adamw(
    learning_rate: optax.ScalarOrSchedule = 1e-3,
    hyper_lr: float = 0.01,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    mask: Any | Callable[[Any], Any] | None = None,
    *,
    lr_min: float = 1e-6,
    lr_max: float = 1.0,
    warmup_steps: int = 10,
    normalization: Literal["gradient", "direction", "cosine"] = "gradient",
    decay_in_hypergradient: bool = True,
    base_lr: float | None = None,
    delay: Literal[0, 1] = 0,
    nonfinite: Literal["propagate", "skip"] = "propagate",
) -> optax.GradientTransformationExtraArgs:
    """AdamW whose rate follows a normalised hypergradient through AdaGrad.

        h     = clip(H / ||g_{t-1}||^2, -1, 1),   H = -s (<g_t, d_{t-1}> + wd <g_t, theta_t>) / (1 - lr wd)
        G     = 0.99 G + 0.01 h^2
        alpha = alpha - hyper_lr h / (sqrt(G) + 1e-12), by at most a tenth of alpha, then within [lr_min, lr_max]
        then one step of AdamW with the rate lr = alpha s

    hyper_lr         the pace at which alpha learns, in units of alpha. A number in [0, inf), default 0.01
    warmup_steps     steps before anything learns. A whole number >= 0, default 10
    normalization    what H is divided by: "gradient" ||g_{t-1}||^2, "direction" ||s d_{t-1}||^2, or "cosine"
                     ||g_t|| ||s d_{t-1}||, with which h does not depend on the scale of the loss. Default "gradient"

    beta1 is not learned, and surprise not followed; the classes of NumPy and torch do.
    Other arguments, what is returned and errors as in hypergradient_adamw.
    Source: `hypergrad_reference.adamw_auto`.

    >>> opt = auto_hypergradient_adamw(learning_rate=0.5, b1=0.5, b2=0.75, eps=1.0, warmup_steps=1, weight_decay=0.0)
    >>> x = jnp.array([8.0, -1.0])
    >>> state = opt.init(x)
    >>> for gradient in ([1.0, 3.0], [2.0, 4.0]):
    ...     updates, state = opt.update(jnp.array(gradient), state, x)
    ...     x = optax.apply_updates(x, updates)
    >>> float(state.hypergradient), float(state.lr) > 0.5, state.inner_state.adam.mu
    (-4.0, True, Array([1.25, 2.75], dtype=float32))
    """
    check_options(normalization=normalization, decay_in_hypergradient=decay_in_hypergradient)
    check_numbers(hyper_lr=hyper_lr, warmup_steps=warmup_steps)
    constants = adamw_auto.Constants(hyper_lr, lr_min=lr_min, lr_max=lr_max, warmup_steps=warmup_steps)
    rule = adamw_auto_rule.Rule(constants, normalization=normalization)
    inner = _AdamW(b1, b2, eps, weight_decay, mask, decay_in_hypergradient)
    return _learn_adamw(inner, rule, learning_rate, base_lr, lr_min, lr_max, delay, nonfinite)


class _AdamWState(NamedTuple):
    """The moments, and the numbers of the latest step, which optax.inject_hyperparams may change before the next."""

    adam: optax.ScaleByAdamState
    b1: jax.Array
    b2: jax.Array
    eps: jax.Array
    weight_decay: jax.Array


class _AdamW(NamedTuple):
    """The direction of AdamW, m_hat / (sqrt(v_hat) + eps) + weight_decay theta."""

    b1: Any
    b2: Any
    eps: Any
    weight_decay: Any
    mask: Any
    decays_slope: bool  # the derivative includes the decay

    def init(self, params: Tree) -> _AdamWState:
        """Moments of zero, of 32 bits or more."""
        wide = jax.tree.map(lambda p: jnp.zeros_like(p, jnp.promote_types(jnp.result_type(p), jnp.float32)), params)
        return self._keep(optax.scale_by_adam().init(wide))

    def update(self, grads: Tree, state: _AdamWState, params: Tree = None) -> tuple[Tree, _AdamWState]:
        """The direction of a step."""
        adam = optax.scale_by_adam(self.b1, self.b2, self.eps)
        directions, moments = adam.update(jax.tree.map(widen, grads), state.adam)
        return self._decay(directions, params, self.weight_decay, 0.0), self._keep(moments)

    def _keep(self, adam: Any) -> _AdamWState:
        return _AdamWState(adam, *(jnp.asarray(x, float) for x in (self.b1, self.b2, self.eps, self.weight_decay)))

    def recall(self, state: _AdamWState, params: Tree, lr: jax.Array) -> Last:
        """The direction of the latest step, rebuilt from the moments."""
        check_alike("params", params, state.adam.mu, "the state")
        step = jnp.maximum(state.adam.count, 1)
        mean = optax.tree.bias_correction(state.adam.mu, state.b1, step)
        square = optax.tree.bias_correction(state.adam.nu, state.b2, step)
        direction = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + state.eps.astype(v.dtype)), mean, square)
        slope = self._decay(direction, params, state.weight_decay, lr) if self.decays_slope else direction
        return Last(direction, slope)

    def _decay(self, directions: Tree, params: Tree, weight_decay: Any, lr: Any) -> Tree:
        """(d + wd theta) / (1 - lr wd): the direction with decay at theta_{t-1}, of theta_t after a step of rate lr."""
        share = jnp.asarray(1 / (1 - lr * weight_decay))

        def add(d: Any, theta: Any) -> Any:
            return (d + jnp.asarray(weight_decay, d.dtype) * theta) * share.astype(d.dtype)

        def add_where(decays: Any, directions: Tree, params: Tree) -> Tree:
            return jax.tree.map(add, directions, params) if decays else directions

        mask = True if self.mask is None else self.mask(params) if callable(self.mask) else self.mask
        check_mask(mask, params)
        return jax.tree.map(add_where, mask, directions, params)


def _learn_adamw(
    inner: _AdamW,
    rule: Any,
    learning_rate: Any,
    base_lr: Any,
    lr_min: Any,
    lr_max: Any,
    delay: Any,
    nonfinite: str,
) -> optax.GradientTransformationExtraArgs:
    check_numbers(b1=inner.b1, b2=inner.b2, eps=inner.eps, weight_decay=inner.weight_decay)
    check_numbers(lr_min=lr_min, lr_max=lr_max)
    if is_known(inner.eps) and not np.asarray(inner.eps, jax.dtypes.canonicalize_dtype(float)):
        raise ArgumentError(f"eps={inner.eps!r} is 0 in float32: give more, or set jax_enable_x64")
    check_steps(delay, nonfinite)
    if is_known(lr_min) and is_known(lr_max):
        check_order("lr_min", lr_min, "lr_max", lr_max)
    base = find_base(learning_rate, base_lr, lr_min, lr_max)
    return learn(inner, Plan(rule, learning_rate, base, lr_min, lr_max, delay, nonfinite), inner.recall, _AdamWState)
