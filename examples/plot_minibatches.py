"""
A model in batches
==================

A rate that is a hundred times too small, with and without an optimizer that corrects it. Parameters are NumPy arrays,
updated in place; gradients come in the same order.
"""

import matplotlib.pyplot as plt
import numpy as np

from hypergrad import AdamW, AutoHypergradientAdamW

rng = np.random.default_rng(0)
X = rng.standard_normal((2000, 20))
y = X @ np.linspace(-1, 1, 20) + 0.1 * rng.standard_normal(2000)

for optimizer in (AdamW, AutoHypergradientAdamW):
    w, losses, rates = np.zeros(20), [], []
    opt = optimizer([w], lr=1e-4)
    for _ in range(20):
        for rows in np.array_split(rng.permutation(2000), 20):
            opt.step(gradients=[X[rows].T @ (X[rows] @ w - y[rows]) / len(rows)])
            losses.append(np.mean((X @ w - y) ** 2) / 2)
            rates.append(opt.current_lr)
    print(f"{optimizer.__name__}: loss {losses[-1]:.4f} at a rate of {rates[-1]:.1e}")
    plt.semilogy(losses, label=optimizer.__name__)

plt.xlabel("step")
plt.ylabel("loss")
plt.legend()
plt.show()
