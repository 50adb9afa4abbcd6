"""What the trainer, the proxies and the encoder do on a GPU, beside what the GPU could do."""
