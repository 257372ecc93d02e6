"""Models leave the workspace: a folder for transformers, GGUF for llama.cpp, or a package for another workspace.

What a format cannot carry is refused before anything is written, and what is written appears all at once.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import UsageError
from treadle.base.files import new_file, new_folder
from treadle.base.hashing import hash_file
from treadle.data.tokenizers.definitions import boundary_name, definition_of
from treadle.data.tokenizers.gguf_vocabulary import vocabulary_facts
from treadle.data.tokenizers.tokenizer import save_tokenizer, tokenizer_from_description
from treadle.models.catalog import FAMILIES
from treadle.models.exchange.gguf_writer import write_gguf
from treadle.models.exchange.safetensors_file import write_safetensors
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.convert_gguf import FILE_TYPES, facts_of, to_gguf
from treadle.models.gpt.convert_huggingface import settings_of, to_huggingface
from treadle.recipes import sharing_facts
from treadle.recipes.opened import open_model
from treadle.recipes.package_file import write_package
from treadle.recipes.quantised_cost import require_cheap
from treadle.training.checkpoints import MODEL_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.recipes.opened import OpenedModel
    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint

OWN_TOKENIZER: Final = "treadle_tokenizer.json"
"""Beside a `tokenizer.json`: our own form, by which we read back exactly what was written."""
FACTS: Final = "treadle.json"
_CARD: Final = "README.md"
_QUANTISED: Final = ("q8_0", "q4_0")
_LEFT_AT_HOME: Final = ("data.tokenizer", "training.threads", "training.auto_train")
"""Settings of this machine or this workspace."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for."""

    to: str
    out: Path
    checkpoint: str = "best"
    precision: str | None = None
    margin: float = 0.02
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A checkpoint on its way out."""

    model: OpenedModel
    checkpoint: Checkpoint
    facts: dict[str, Any]
    target: Path

    @property
    def name(self) -> str:
        return self.model.card.name

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """All weights, read strictly."""
        record = self.checkpoint.record
        family = FAMILIES.get(record.family)
        config = family.config_class().model_validate(dict(record.config))
        return self.checkpoint.weights(family.weight_shapes(config, record.vocabulary, record.context))

    def text_model(self) -> tuple[GPTConfig, Tokenizer]:
        """Shape and tokenizer; raises `UsageError` for families that other programs do not know."""
        record = self.checkpoint.record
        if record.family != "gpt":
            raise UsageError(
                f"`{self.name}` is of the family {record.family}, which other programs do not know. "
                "A package for other workspaces carries it: --to package"
            )
        return GPTConfig.model_validate(dict(record.config)), tokenizer_from_description(record.tokenizer)


def export(workspace: WorkspaceFolder, name: str, wish: Wish) -> dict[str, Any]:
    """Write a checkpoint for others; the fields of the operation's report."""
    if wish.precision is not None and wish.to != "gguf":
        raise UsageError(f"--precision is for --to gguf; --to {wish.to} keeps all 32 bits of each weight.")
    target = wish.out.expanduser().absolute()
    if target.exists() or target.is_symlink():
        raise UsageError(f"{wish.out} exists already. Name a new place, or remove it first.")
    model = open_model(workspace, name)
    checkpoint = model.checkpoints.find(wish.checkpoint)
    leaving = _Leaving(model, checkpoint, sharing_facts.facts_of(model, checkpoint, wish.licence), target)
    if wish.to == "gguf":
        written = _gguf(leaving, wish.precision or "f16", wish.margin)
    else:
        written = _huggingface(leaving) if wish.to == "huggingface" else _package(leaving)
    files = [target] if target.is_file() else sorted(path for path in target.rglob("*") if path.is_file())
    return {
        "model": model.card.name,
        "format": wish.to,
        "step": checkpoint.step,
        "checkpoint": str(checkpoint.path),
        "path": str(target),
        "files": [{"path": str(path), "bytes": path.stat().st_size, "sha256": hash_file(path)} for path in files],
        "licence": leaving.facts["licence"],
        **written,
    }


def _report(next_step: str, precision: str = "f32", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - plain JSON
    return {"precision": precision, "kept_wider": [], "cost": None, "next_step": next_step, **more}


def _huggingface(leaving: _Leaving) -> dict[str, Any]:
    config, tokenizer = leaving.text_model()
    record = leaving.checkpoint.record
    stated = settings_of(config, record.vocabulary, record.context, tokenizer.boundary)
    definition, end = definition_of(tokenizer), boundary_name(tokenizer)
    weights = to_huggingface(config, leaving.weights())
    with new_folder(leaving.target) as folder:
        write_safetensors(folder / "model.safetensors", weights, {"format": "pt"})
        _write_json(folder / "config.json", stated)
        _write_json(folder / "tokenizer.json", definition)
        _write_json(folder / "tokenizer_config.json", _tokenizer_config(end, record.context))
        ids = {"bos_token_id": tokenizer.boundary, "eos_token_id": tokenizer.boundary}
        _write_json(folder / "generation_config.json", ids)
        save_tokenizer(tokenizer, folder / OWN_TOKENIZER)
        _write_json(folder / FACTS, leaving.facts)
        use = (
            "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            'model = AutoModelForCausalLM.from_pretrained(".")\ntokenizer = AutoTokenizer.from_pretrained(".")\n```'
        )
        (folder / _CARD).write_text(sharing_facts.card_text(leaving.facts, use), encoding="utf-8")
    there = json.dumps(str(leaving.target), ensure_ascii=False)
    program = f'from transformers import pipeline; print(pipeline("text-generation", {there})("The "))'
    return _report(f"python -c {shlex.quote(program)}")


def _tokenizer_config(end: str, context: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end,
        "eos_token": end,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }


def _gguf(leaving: _Leaving, precision: str, margin: float) -> dict[str, Any]:
    config, tokenizer = leaving.text_model()
    record = leaving.checkpoint.record
    shape = facts_of(config, record.vocabulary, record.context)
    facts = {
        **shape,
        "general.name": leaving.name,
        "general.license": leaving.facts["licence"],
        "general.file_type": FILE_TYPES[precision],
        "general.quantization_version": 2,
        **vocabulary_facts(tokenizer),
        "treadle.facts": json.dumps(leaving.facts, ensure_ascii=False),
    }
    tensors = to_gguf(config, leaving.weights(), precision)
    cost = None
    if precision in _QUANTISED:
        cost = require_cheap(leaving.model, leaving.checkpoint, tensors, margin)
    file = f"{leaving.name}-{precision}.gguf"
    with new_folder(leaving.target) as folder:
        with (folder / file).open("xb") as target:
            write_gguf(target, facts, tensors)
        (folder / "Modelfile").write_text(_modelfile(file, record.context), encoding="utf-8")
        use = f"```sh\nllama-completion -m {file} --no-conversation -p 'The '\nollama create NAME -f Modelfile\n```"
        (folder / _CARD).write_text(sharing_facts.card_text(leaving.facts, use), encoding="utf-8")
    wider = [tensor.name for tensor in tensors if tensor.values.ndim > 1 and tensor.kind.name != precision]
    run = f"llama-completion -m {shlex.quote(str(leaving.target / file))} --no-conversation -p 'The '"
    return _report(run, precision, kept_wider=wider, cost=cost)


def _modelfile(file: str, context: int) -> str:
    """For Ollama: a model that continues text, without a template of a conversation."""
    return f'FROM ./{file}\nTEMPLATE """{{{{ .Prompt }}}}"""\nPARAMETER num_ctx {context}\n'


def _package(leaving: _Leaving) -> dict[str, Any]:
    record = leaving.checkpoint.record
    leaving.weights()  # checks their hash and shapes
    parts = {
        "model": {
            "family": record.family,
            "config": dict(record.config),
            "vocabulary": record.vocabulary,
            "context": record.context,
            "tokenizer": record.tokenizer,
        },
        "settings": _settings(record.settings or {}),
        "facts": leaving.facts,
    }
    use = f"```sh\ntreadle import {leaving.target.name} --name {shlex.quote(leaving.name)}\n```"
    with new_file(leaving.target) as file:
        write_package(file, parts, sharing_facts.card_text(leaving.facts, use), leaving.checkpoint.path / MODEL_FILE)
    return _report(f"treadle import {shlex.quote(str(leaving.target))} --name NAME")


def _settings(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they can be used elsewhere: the chosen presets and the values, without where each came from."""
    sections = {
        section: {key: value for key, value in stored[section].items() if f"{section}.{key}" not in _LEFT_AT_HOME}
        for section in ("data", "training", "generation")
        if section in stored
    }
    return {"choices": {group: made["name"] for group, made in stored.get("choices", {}).items()}, **sections}


def _write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - JSON is any tree of plain values
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
