"""
Torch: Hugging Face's Trainer
=============================

``Trainer`` takes an optimizer and a scheduler, and steps both. Its cosine with warm-up from 0 writes ``group["lr"]``;
the learned rate stands beside it, and the rate that acts is their product. The model is tiny and starts at random.
"""

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, get_cosine_schedule_with_warmup

from hypergrad.torch import AutoHypergradientAdamW

STEPS = 100
torch.manual_seed(0)
model = GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=16, n_embd=32, n_layer=2, n_head=2))
counting = (torch.arange(16) + torch.randint(16, (800, 1))) % 16
rows = [{"input_ids": row, "labels": row} for row in counting]

opt = AutoHypergradientAdamW(model.parameters(), lr=1e-4, normalization="cosine")
schedule = get_cosine_schedule_with_warmup(opt, num_warmup_steps=10, num_training_steps=STEPS)
arguments = TrainingArguments(
    output_dir="trainer", max_steps=STEPS, per_device_train_batch_size=8, logging_steps=20, save_strategy="no",
    report_to=[], use_cpu=True, disable_tqdm=True, seed=0,
)  # fmt: skip
trainer = Trainer(model, arguments, train_dataset=rows, optimizers=(opt, schedule))
trainer.train()

losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
print(f"loss {float(losses[0]):.3f} -> {float(losses[-1]):.3f}, learned {opt.learned_lr:.1e}")
print(f"acting {opt.effective_lrs()[0]:.1e} at the last step, of a rate of 1e-04 at first")
