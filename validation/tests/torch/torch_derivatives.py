"""The largest relative error of h, per rule, scheduler and scope: `python validation/tests/torch/torch_derivatives.py`.

h is what the record of a step says, beside the derivative of the next loss with respect to the learned rate by float64
autograd, over 40 steps of a small network with two groups of unequal rate and decay. The functions are those of
`test_derivatives.py`, which holds each error below 1e-10.
"""

from test_derivatives import RULES, SCHEDULERS, Model, find_largest_error, walk

SCOPES = ("global", "group", "tensor")


def measure(rule, schedule, scope):
    """The largest error over a run."""
    model = Model()
    optimizer = RULES[rule](model.groups(decays=True), scope)
    return find_largest_error(walk(model, optimizer, SCHEDULERS[schedule](optimizer), scope))


def write_table():
    """The table, in Markdown: a row per rule and scheduler, a column per scope."""
    lines = [f"| rule | scheduler | {' | '.join(SCOPES)} |", f"|---|---|{'---|' * len(SCOPES)}"]
    for rule in RULES:
        for schedule in SCHEDULERS:
            cells = " | ".join(f"{measure(rule, schedule, scope):.0e}" for scope in SCOPES)
            lines.append(f"| {rule} | {schedule} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(write_table())
