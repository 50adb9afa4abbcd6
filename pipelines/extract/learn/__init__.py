"""Training and scoring of the `auto` engine's models, on pages whose main text is known."""
