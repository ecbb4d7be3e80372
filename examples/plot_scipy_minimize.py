"""
scipy.optimize.minimize
=======================

The methods of the HDM and OSGM papers are callables that SciPy takes as ``method=``. No option is needed. Here they
minimise Rosenbrock's function in ten variables, beside Adam, whose rate does not learn.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize, rosen, rosen_der

from hypergrad import methods

x0 = np.zeros(10)
for name in ("osgm_best", "hdm_best", "hdm_null", "adam"):
    values = []
    result = minimize(
        rosen, x0, jac=rosen_der, method=getattr(methods, name),
        callback=lambda x, values=values: values.append(rosen(x)), options={"maxiter": 2000},
    )  # fmt: skip
    print(f"{name}: {len(values)} iterations, {result.njev} gradients, f = {result.fun:.1e}, {result.message}")
    plt.semilogy(values, label=name)

plt.xlabel("iteration")
plt.ylabel("f")
plt.legend()
plt.show()
