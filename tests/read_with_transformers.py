"""What transformers makes of our files, for tests: in a process of its own, since importing it warns.

    python read_with_transformers.py REQUEST.json
    {"read": {"FOLDER": {"text": ...}, ...}, "make": "FOLDER", "ids": [...], "vocabulary": N} -> the answers as JSON

`read` opens exported folders: the class, the ids of the text, what they decode to, and the logits after each of them.
`make` saves small models with random weights, one folder for each kind, and tells their logits after `ids`.
"""

import json
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
import torch  # noqa: E402
import transformers  # noqa: E402

transformers.logging.set_verbosity_error()

ROTARY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
          "num_key_value_heads": 2, "max_position_embeddings": 48}  # fmt: skip
KINDS = {
    "llama": (transformers.LlamaConfig, {**ROTARY, "tie_word_embeddings": False}),
    "mistral": (transformers.MistralConfig, {**ROTARY, "sliding_window": None, "tie_word_embeddings": True}),
    "qwen2": (transformers.Qwen2Config, ROTARY),
    "qwen3": (transformers.Qwen3Config, {**ROTARY, "head_dim": 16, "tie_word_embeddings": True}),
    "gpt2": (transformers.GPT2Config, {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 48}),
}


def read(folder, text):
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, local_files_only=True
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    odd = {key: sorted(map(str, value)) for key, value in report.items() if value}
    facts = {"class": type(model).__name__, "ids": ids, "text": tokenizer.decode(ids), "end": tokenizer.eos_token_id}
    return {**facts, "odd": odd, "logits": logits(model, ids)}


def make(folder, kind, ids, vocabulary):
    config_class, fields = KINDS[kind]
    torch.manual_seed(len(kind))
    model = transformers.AutoModelForCausalLM.from_config(config_class(vocab_size=vocabulary, **fields))
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.2 if weight.ndim > 1 else 0.5)
    model.eval().save_pretrained(folder / kind)
    return logits(model, ids)


def logits(model, ids):
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].tolist()


request = json.loads(Path(sys.argv[1]).read_text())
made = {kind: make(Path(request["make"]), kind, request["ids"], request["vocabulary"]) for kind in KINDS}
print(json.dumps({"made": made, "read": {folder: read(folder, **asked) for folder, asked in request["read"].items()}}))
