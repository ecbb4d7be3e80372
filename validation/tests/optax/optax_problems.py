"""A noisy quadratic on a tree of arrays, and runs of a transformation on it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

SHAPES = {"first": {"w": (7, 5), "b": (11,)}, "scale": (), "empty": (0,), "last": [(3, 2, 2)]}


def draw(seed, dtype=np.float64, repeats=()):
    """Normal numbers in these shapes, each so many times."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: jnp.asarray(rng.normal(size=(*repeats, *shape)), dtype),
        SHAPES,
        is_leaf=lambda x: type(x) is tuple,
    )


def form_gradient(params, noise):
    """Of the quadratic, whose curvature differs from array to array."""
    leaves, structure = jax.tree.flatten(params)
    curved = jax.tree.unflatten(structure, [x * (0.25 * (1 + i)) for i, x in enumerate(leaves)])
    return jax.tree.map(lambda g, n: g + n * 0.3, curved, noise)


def run(opt, steps, dtype=np.float64):
    """The noise of each step, and parameters and state after it, stacked along the first axis."""
    params, noise = draw(0, dtype), draw(1, dtype, (steps,))

    def step(carry, noise):
        params, state = carry
        updates, state = opt.update(form_gradient(params, noise), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, state)

    _, (walk, states) = jax.jit(lambda params: jax.lax.scan(step, (params, opt.init(params)), noise))(params)
    return noise, walk, states
