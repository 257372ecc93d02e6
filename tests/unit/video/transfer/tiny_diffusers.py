"""Makes a tiny, untrained pipeline of the real library diffusers, in a folder that its own loader reads.

    python tiny_diffusers.py FOLDER

The parts are those of the library's own fast tests; the tokenizer knows bytes and no more.
"""

import json
import sys
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    Cosmos2_5_TransferPipeline,
    CosmosControlNetModel,
    CosmosTransformer3DModel,
    UniPCMultistepScheduler,
)
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'][0]['text'] }}\n{% endfor %}"
SHARED = {
    "num_attention_heads": 2, "attention_head_dim": 16, "mlp_ratio": 2, "text_embed_dim": 32, "adaln_lora_dim": 4,
    "max_size": (16, 32, 32), "patch_size": (1, 2, 2), "rope_scale": (2.0, 1.0, 1.0), "img_context_dim_in": 32,
    "extra_pos_embed_type": "learnable", "img_context_dim_out": 32,
}  # fmt: skip


def byte_names():
    """The printable characters by which such tokenizers write bytes."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) for byte in shown] + [chr(256 + place) for place in range(len(hidden))]


def tokenizer(folder):
    names = [*byte_names(), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    (folder / "vocab.json").write_text(json.dumps({name: place for place, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return Qwen2Tokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), chat_template=CHAT)


def text_encoder():
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 2, "vocab_size": 300, "rope_theta": 1000000.0,
            "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
        },
        vision_config={"depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16},
        vision_end_token_id=257, vision_start_token_id=258, vision_token_id=259,
    )  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration(config)


def main(folder):
    folder.mkdir()
    torch.manual_seed(0)
    pipe = Cosmos2_5_TransferPipeline(
        transformer=CosmosTransformer3DModel(
            in_channels=17, out_channels=16, num_layers=2, concat_padding_mask=True, controlnet_block_every_n=1,
            img_context_num_tokens=4, **SHARED,
        ),
        controlnet=CosmosControlNetModel(
            n_controlnet_blocks=2, in_channels=18, latent_channels=18, model_channels=32,
            use_crossattn_projection=False, **SHARED,
        ),
        vae=AutoencoderKLWan(
            base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        ),
        scheduler=UniPCMultistepScheduler(),
        text_encoder=text_encoder(),
        tokenizer=tokenizer(folder),
    )  # fmt: skip
    for part in ("transformer", "controlnet", "vae", "scheduler", "text_encoder", "tokenizer"):
        getattr(pipe, part).save_pretrained(folder / part)
    index = {key: value for key, value in pipe.config.items() if key != "safety_checker"}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": type(pipe).__name__, **index}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
