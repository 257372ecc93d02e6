"""Plays the part of torch that the script on the host uses: importing the real one takes seconds."""

import numpy as np

float32, bfloat16 = "float32", "bfloat16"


class cuda:  # noqa: N801 - its name
    @staticmethod
    def is_available():
        return False


class Generator:
    def __init__(self, device):
        assert device == "cpu"

    def manual_seed(self, seed):
        self.numbers = np.random.default_rng(seed)
        return self
