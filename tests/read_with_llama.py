"""Reads GGUF files with llama.cpp, for tests: run by a Python that has `llama-cpp-python`, not Treadle.

    python read_with_llama.py REQUEST.json
    {"FILE.gguf": {"text": ..., "tokens": N, "context": N}, ...} -> the answers as JSON

Each answer has the ids of the text, N ids written greedily after it, and the text of all of these, with keys and values
of attention in f32.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

import llama_cpp


def answer(path, text, tokens, context):
    model = llama_cpp.Llama(
        path, n_ctx=context, n_threads=1, verbose=False, type_k=0, type_v=0, logits_all=False, flash_attn=False
    )
    ids = model.tokenize(text.encode(), add_bos=False, special=False)
    model.eval(ids)
    written = []
    for _ in range(tokens):
        token = model.sample(temp=0.0, top_k=1, repeat_penalty=1.0)
        written.append(token)
        model.eval([token])
    return {"ids": ids, "written": written, "text": model.detokenize(written).decode(errors="replace")}


request = json.loads(Path(sys.argv[1]).read_text())
with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
    answers = {path: answer(path, **asked) for path, asked in request.items()}
print(json.dumps(answers))
