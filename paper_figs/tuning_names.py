"""What the figures of the tuning share."""

NAMES = {
    "K": "TuningFreeAdamW, K", "lazy, delayed": "TuningFreeAdamW, lazy", "schedule-free": "tuned schedule-free",
    "averaged": "tuned, averaged", "constant": "tuned constant",
}  # fmt: skip
