"""Shapes and weights as others keep them: what goes out comes back, and what cannot go out says why."""

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.base.errors import DataError, UsageError
from treadle.models.exchange.blocks import rounded
from treadle.models.gpt import convert_gguf, convert_huggingface, convert_nanogpt
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.vocabulary import NEW, with_ids
from treadle.models.gpt.weights import weight_shapes

VOCABULARY, CONTEXT = 11, 8
GPT2 = {"positions": "learned", "norm": "layernorm", "qk_norm": False, "activation": "gelu"}


@st.composite
def shapes(draw):
    """Every shape that other programs run."""
    kv_heads = draw(st.sampled_from([1, 2]))
    heads = kv_heads * draw(st.sampled_from([1, 2]))
    free = {
        "layers": draw(st.integers(1, 2)),
        "width": heads * 8,
        "heads": heads,
        "tied_embeddings": draw(st.booleans()),
        "norm_epsilon": draw(st.sampled_from([1e-6, 1e-5])),
        "feed_forward": draw(st.sampled_from([None, 32])),
        "norm_gain": draw(st.booleans()),
    }
    if draw(st.booleans()):
        return GPTConfig(**free, **GPT2, bias=draw(st.booleans()))
    qk_norm = draw(st.booleans())
    return GPTConfig(
        **free,
        kv_heads=kv_heads,
        head_width=draw(st.sampled_from([None, 4])),
        qk_norm=qk_norm,
        bias=False if qk_norm else draw(st.booleans()),
        rope_base=draw(st.sampled_from([10_000.0, 500_000.0])),
    )


def random_weights(config, seed=0):
    generator = np.random.default_rng(seed)
    shapes = weight_shapes(config, VOCABULARY, CONTEXT)
    return {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def same(found, weights):
    """Equal where ours had a weight; ones and zeros where it had none."""
    for name, array in found.items():
        expected = weights.get(name, np.full_like(array, float(name.endswith("weight"))))
        assert np.array_equal(array, expected), name
    assert set(weights) <= set(found)


@settings(max_examples=80, deadline=None)
@given(config=shapes())
def test_through_hugging_face_and_back(config):
    weights = random_weights(config)
    stated = convert_huggingface.settings_of(config, VOCABULARY, CONTEXT, 0)
    foreign = convert_huggingface.shape_of(stated)
    assert (foreign.vocabulary, foreign.context) == (VOCABULARY, CONTEXT)
    for key in ("layers", "width", "heads", "key_value_heads", "width_of_head", "feed_forward_width", "positions",
                "norm", "norm_epsilon", "rope_base", "qk_norm", "activation", "tied_embeddings"):  # fmt: skip
        assert getattr(foreign.config, key) == getattr(config, key), key
    theirs = convert_huggingface.to_huggingface(config, weights)
    same(convert_huggingface.from_huggingface(foreign, theirs), weights)
    lacking = {name: array for name, array in theirs.items() if "k_proj.w" not in name and "c_attn.w" not in name}
    with pytest.raises(DataError, match="is missing"):
        convert_huggingface.from_huggingface(foreign, lacking)
    with pytest.raises(DataError, match=r"no place for: model\.extra"):
        convert_huggingface.from_huggingface(foreign, {**theirs, "model.extra": np.ones(1, np.float32)})


@settings(max_examples=80, deadline=None)
@given(config=shapes(), precision=st.sampled_from(["f32", "f16", "q8_0", "q4_0"]))
def test_through_gguf_and_back(config, precision):
    weights = random_weights(config)
    facts = convert_gguf.facts_of(config, VOCABULARY, CONTEXT)
    tensors = convert_gguf.to_gguf(config, weights, precision)
    kept = {tensor.name: rounded(tensor.values, tensor.kind) for tensor in tensors}
    foreign = convert_gguf.shape_of(facts, {name: array.shape for name, array in kept.items()})
    found = convert_gguf.from_gguf(foreign, facts["general.architecture"], kept)
    if precision == "f32":
        same(found, weights)
    for name, array in weights.items():
        assert np.abs(found[name] - array).max() < {"f32": 1e-9, "f16": 4e-3, "q8_0": 0.03, "q4_0": 0.5}[precision]


def test_llama_rows_are_permuted_and_restored():
    rows = np.arange(16, dtype=np.float32).reshape(16, 1)  # two heads of eight
    assert convert_gguf.permuted(rows, 8)[:8, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert np.array_equal(convert_gguf.restored(convert_gguf.permuted(rows, 8), 8), rows)


def test_shared_key_heads_become_copies_where_gpt2_knows_none():
    config = GPTConfig(layers=1, width=16, heads=4, kv_heads=2, bias=True, **GPT2)
    weights = random_weights(config)
    foreign = convert_huggingface.shape_of(convert_huggingface.settings_of(config, VOCABULARY, CONTEXT, 0))
    assert foreign.config.key_value_heads == 4
    found = convert_huggingface.from_huggingface(foreign, convert_huggingface.to_huggingface(config, weights))
    for last in ("weight", "bias"):
        name = f"layers.0.attention.key.{last}"
        for head in range(4):
            ours = weights[name][head // 2 * 4 : head // 2 * 4 + 4]
            assert np.array_equal(found[name][head * 4 : head * 4 + 4], ours)
    torch = pytest.importorskip("torch")
    from treadle.models.gpt.model import GPT  # which needs torch

    answers = []
    for one, arrays in ((config, weights), (foreign.config, found)):
        model = GPT(one, VOCABULARY, CONTEXT, "plain")
        model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
        answers.append(model.logits(torch.arange(CONTEXT)[None]).detach().numpy())
    assert np.allclose(*answers, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"attention": "sliding", "attention_window": 4}, "family.attention=sliding"),
        ({"attention": "linear"}, "family.attention=linear"),
        ({"embedding_norm": True}, "embedding_norm"),
        ({"logit_soft_cap": 15.0}, "logit_soft_cap=15"),
        ({"activation": "relu2"}, "activation=swiglu"),
        ({"norm": "layernorm"}, "norm=rmsnorm"),
        ({"bias": True}, "without biases"),
        ({"positions": "learned"}, "norm=layernorm"),
        ({**GPT2, "head_width": 4}, "heads that fill the width"),
        ({**GPT2, "qk_norm": True}, "without family.qk_norm"),
    ],
)
def test_a_shape_that_nobody_else_runs_is_refused_with_the_reason(change, reason):
    config = GPTConfig(layers=1, width=16, heads=2, **change)
    for refuse in (
        lambda: convert_huggingface.settings_of(config, VOCABULARY, CONTEXT, 0),
        lambda: convert_gguf.facts_of(config, VOCABULARY, CONTEXT),
    ):
        with pytest.raises(UsageError, match=reason) as raised:
            refuse()
        assert "--to package" in str(raised.value)


LLAMA = {"model_type": "llama", "vocab_size": 8, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
         "num_attention_heads": 2, "max_position_embeddings": 64}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "mamba"}, "model_type is 'mamba'"),
        ({"hidden_act": "gelu"}, "hidden_act=gelu"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8}}, "scaled .llama3."),
        ({"model_type": "mistral", "sliding_window": 4096}, "sliding window"),
        ({"partial_rotary_factor": 0.5}, "a part of each head"),
        ({"num_attention_heads": 3}, "no possible shape"),
        ({"hidden_size": "big"}, "no possible shape"),
        ({"num_attention_heads": 0}, "no possible shape"),
        ({"rope_parameters": [1]}, "no possible shape"),
        ({"vocab_size": "many"}, "number of token ids: many"),
        ({"max_position_embeddings": -1}, "number of positions: -1"),
        ({"model_type": "gpt2"}, "does not say 'n_embd'"),
        ({"model_type": "gpt2", "n_embd": 16, "activation_function": "relu"}, "activation_function=relu"),
        ({"model_type": "gpt2", "n_embd": 16, "scale_attn_by_inverse_layer_idx": True}, "inverse_layer"),
    ],
)
def test_a_model_that_computes_something_else_is_refused(change, reason):
    with pytest.raises(DataError, match=reason):
        convert_huggingface.shape_of({**LLAMA, **change})


def test_qwen2_has_biases_in_some_places_and_gets_zeros_in_the_others():
    foreign = convert_huggingface.shape_of({**LLAMA, "model_type": "qwen2", "use_sliding_window": False})
    assert foreign.config.bias
    theirs = convert_huggingface.to_huggingface(
        foreign.config, {k: np.ones(v, np.float32) for k, v in weight_shapes(foreign.config, 8, 64).items()}
    )
    some = {name: array for name, array in theirs.items() if "bias" not in name or "q_proj" in name}
    found = convert_huggingface.from_huggingface(foreign, some)
    assert found["layers.0.attention.query.bias"].tolist() == [1.0] * 16
    assert found["layers.0.attention.output.bias"].tolist() == [0.0] * 16


@pytest.mark.parametrize("bias", [True, False])
def test_nanogpt_is_read_compiled_or_not(bias):
    foreign = convert_nanogpt.shape_of(
        {"n_layer": 2, "n_embd": 16, "n_head": 2, "vocab_size": VOCABULARY, "block_size": CONTEXT, "bias": bias}
    )
    weights = random_weights(foreign.config)
    theirs = convert_huggingface.to_huggingface(foreign.config, weights)  # the same names; matrices are not turned
    turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    plain = OrderedDict(
        (f"_orig_mod.{name}", array.T if name.endswith(turned) else array)
        for name, array in theirs.items()
        if bias or not name.endswith("bias")
    )
    found = convert_nanogpt.from_nanogpt(foreign, plain)
    assert set(found) == set(weights)
    assert all(np.array_equal(found[name], weights[name]) for name in weights)
    with pytest.raises(DataError, match=r"transformer.wte.weight is missing"):
        convert_nanogpt.from_nanogpt(foreign, {})
    with pytest.raises(DataError, match="do not say 'bias'"):
        convert_nanogpt.shape_of({"n_layer": 2, "n_embd": 16, "n_head": 2})


def test_other_ids_take_their_rows_along_and_new_ones_get_the_mean():
    weights = {"embedding.weight": np.array([[0.0], [3.0], [6.0]], np.float32), "norm.weight": np.ones(1, np.float32)}
    found = with_ids(weights, [NEW, 2, 0])
    assert found["embedding.weight"].tolist() == [[3.0], [6.0], [0.0]]
    assert found["norm.weight"] is weights["norm.weight"]


def test_values_beyond_half_precision_are_refused():
    config = GPTConfig(layers=1, width=16, heads=2)
    weights = random_weights(config)
    weights["embedding.weight"][0, 0] = 1e6
    with pytest.raises(UsageError, match="--precision f32"):
        convert_gguf.to_gguf(config, weights, "f16")
    convert_gguf.to_gguf(config, weights, "f32")
