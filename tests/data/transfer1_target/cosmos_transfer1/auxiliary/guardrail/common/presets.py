"""Plays the target's guardrail: refuses texts with the mark `[unsafe]`."""

from pathlib import Path


def create_text_guardrail_runner(checkpoint_dir):
    return Path(checkpoint_dir, "meta-llama/Llama-Guard-3-8B").is_dir()


def run_text_guardrail(prompt, guardrail_runner):
    return guardrail_runner and "[unsafe]" not in prompt
