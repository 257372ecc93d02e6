"""Plays the part of the library diffusers that is used: a pipeline that calls back after each step of each clip."""


class Latents:
    """As much of a tensor as is asked for."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def __getitem__(self, place):
        return Latents(self.values[place])

    def cpu(self):
        return self

    float = cpu

    def numpy(self):
        return self.values


class SafetyChecker:
    def check_video_safety(self, frames):
        return None if self.unfit else frames


class Cosmos2_5_TransferPipeline:  # noqa: N801 - its name
    safety_checker = SafetyChecker()

    @classmethod
    def from_pretrained(cls, model, **_):
        assert model
        return cls()

    def to(self, _device):
        return self

    def __call__(
        self, *, controls, prompt, num_inference_steps, guidance_scale, generator, callback_on_step_end, **call
    ):
        if "[unsafe]" in prompt:
            raise ValueError("Cosmos Guardrail detected unsafe text in the prompt")
        self._guidance_scale = guidance_scale
        self.clips = []
        for _ in range(0, call["num_frames"], call["num_frames_per_chunk"]):
            self.clips.append(self._guidance_scale)
            for step in range(num_inference_steps):
                latents = Latents(generator.numbers.standard_normal((1, 16, 3, 6, 8)))
                callback_on_step_end(self, step, 0, {"latents": latents})
        print(f"guidance of the clips: {self.clips}", flush=True)
        frames = controls[: call["num_frames"]]
        self.safety_checker.unfit = "[unfit]" in prompt
        if self.safety_checker.check_video_safety(frames) is None:  # of which it says nothing
            frames = [frame.point(lambda _: 0) for frame in frames]
        return type("Output", (), {"frames": [frames]})


class AutoModel:
    @classmethod
    def from_pretrained(cls, _model, **_):
        return cls()
