"""Training data: pictures, clips, and the pairs that are made of them."""
