"""The OpenAI-compatible server: requests in, answers and streams out, over schedulers that somebody else opens."""
