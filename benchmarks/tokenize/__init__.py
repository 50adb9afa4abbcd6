"""Rate of tokenizing, ours beside the tokenizers library's own and datatrove's, on one core."""
