"""Reads exported folders with transformers, for tests: in a process of its own, since importing it warns.

    python read_with_transformers.py REQUEST.json     {"FOLDER": {"text": ...}, ...} -> the answers as JSON

Each answer has the class, the ids of the text, what they decode to, and the logits after each of them.
"""

import json
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
import torch  # noqa: E402
import transformers  # noqa: E402

transformers.logging.set_verbosity_error()


def answer(folder, text):
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, local_files_only=True
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0]
    odd = {key: sorted(map(str, value)) for key, value in report.items() if value}
    end = tokenizer.eos_token_id
    return {"class": type(model).__name__, "ids": ids, "text": tokenizer.decode(ids), "end": end, "odd": odd} | {
        "logits": logits.tolist()
    }


request = json.loads(Path(sys.argv[1]).read_text())
print(json.dumps({folder: answer(folder, **asked) for folder, asked in request.items()}))
