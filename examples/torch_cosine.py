"""
Torch: a cosine schedule on top
===============================

``group["lr"]`` belongs to the scheduler, the learned rate to the optimizer. The rate that acts is their product:
``learned_lr * group["lr"] / base_lr``. The hypergradient is that of the product.
"""

import torch

from hypergrad.torch import AutoHypergradientAdamW

torch.manual_seed(0)
X = torch.randn(2000, 20)
y = X @ torch.linspace(-1, 1, 20) + 0.1 * torch.randn(2000)

for scheduled in (False, True):
    model = torch.nn.Linear(20, 1)
    opt = AutoHypergradientAdamW(model.parameters(), lr=1e-4)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=400)
    for _ in range(400):
        rows = torch.randint(2000, (32,))
        opt.zero_grad()
        ((model(X[rows])[:, 0] - y[rows]) ** 2).mean().div(2).backward()
        opt.step()
        if scheduled:
            cosine.step()
    loss = ((model(X)[:, 0] - y) ** 2).mean().item() / 2
    (acting,) = opt.effective_lrs()
    name = "with the schedule" if scheduled else "the learned rate alone"
    print(f"{name}: loss {loss:.5f}, learned {opt.learned_lr:.1e}, acting {acting:.1e}")
