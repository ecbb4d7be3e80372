"""The AdamW family as published in Grillcheese-AI/grilly: what its options do, and what is said of them."""
