/* The C interface of the generation engine. As in interface.h, functions that can fail return 0 or an error code, and
   the calling thread's `treadle_last_error` says why. An engine is used by one thread at a time. */
#ifndef TREADLE_ENGINE_INTERFACE_H
#define TREADLE_ENGINE_INTERFACE_H

#include "interface.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TREADLE_ENGINE_FLOAT32 = 0, TREADLE_ENGINE_BFLOAT16 = 1, TREADLE_ENGINE_INT8 = 2, TREADLE_ENGINE_INT4 = 3 };

typedef struct {
    int32_t format;
    int32_t threads; /* Never part of a result. */
    int32_t slots;   /* Texts held at a time. */
} TreadleEnginePlan;

typedef struct {
    const int32_t *tokens, *slots, *positions;
    int32_t count;
    const int32_t* wanted; /* indexes of rows, rising */
    int32_t wanted_count;
} TreadleEngineRows;

/* A text to write; see generation/sampling.py for what the numbers do. */
typedef struct {
    const int32_t* prompt;
    int32_t prompt_count; /* at least 1 */
    int32_t boundary;
    int64_t most; /* tokens to write */
    uint64_t seed;
    double temperature, top_p, min_p, repetition_penalty, frequency_penalty, presence_penalty;
    int64_t top_k;
    const int32_t* bias_ids;
    const double* bias;
    int32_t bias_count;
    int32_t log_probabilities; /* 1: they are wanted */
    int32_t alternatives;      /* with them, those of so many likeliest tokens in its place; at most the vocabulary */
} TreadleText;

enum { TREADLE_GOING = 0, TREADLE_LENGTH = 1, TREADLE_BOUNDARY = 2, TREADLE_NOT_A_NUMBER = 3 };

/* What one text got in a burst. */
typedef struct {
    int32_t slot;
    int32_t count;
    int32_t ending;
    int32_t log_probabilities; /* 1: each of its tokens has one */
    int32_t alternatives;      /* and so many alternatives */
} TreadleBurst;

typedef struct TreadleEngine TreadleEngine;
typedef struct TreadlePacker TreadlePacker;

/* Bytes of the packed weights, and of everything else. */
TREADLE_EXPORT int32_t treadle_engine_weight_bytes(const TreadleShape*, int32_t format, int64_t* bytes);
TREADLE_EXPORT int32_t treadle_engine_memory(const TreadleShape*, const TreadleEnginePlan*, int64_t* bytes);

/* Packing: a zeroed block of `weight_bytes`, 64-byte aligned, is filled weight by weight. */
TREADLE_EXPORT int32_t treadle_packer_create(const TreadleShape*, int32_t format, void* block, int64_t bytes,
                                             TreadlePacker** result);
TREADLE_EXPORT void treadle_packer_destroy(TreadlePacker*);
TREADLE_EXPORT int32_t treadle_packer_count(const TreadlePacker*);
TREADLE_EXPORT int32_t treadle_packer_parameter(const TreadlePacker*, int32_t index, TreadleParameter* result);
TREADLE_EXPORT int32_t treadle_packer_write(TreadlePacker*, int32_t index, const float* values, int64_t count);
/* A checksum of any bytes, at the speed of memory. */
TREADLE_EXPORT uint64_t treadle_engine_checksum(const void* block, int64_t bytes);

/* `block` must stay until the engine is destroyed; it is only read. */
TREADLE_EXPORT int32_t treadle_engine_create(const TreadleShape*, const TreadleEnginePlan*, const void* block,
                                             int64_t bytes, TreadleEngine** result);
TREADLE_EXPORT void treadle_engine_destroy(TreadleEngine*);
/* `logits` has room for wanted_count x vocabulary values. */
TREADLE_EXPORT int32_t treadle_engine_step(TreadleEngine*, const TreadleEngineRows*, float* logits);
/* The same, with what the last norm makes of the wanted rows instead of logits: wanted_count x width values. */
TREADLE_EXPORT int32_t treadle_engine_states(TreadleEngine*, const TreadleEngineRows*, float* states);
/* Tokens that a slot holds; 0 for one that does not exist. */
TREADLE_EXPORT int64_t treadle_engine_held(const TreadleEngine*, int32_t slot);
/* 0, as at the beginning: as many as measurement says are worth it. */
TREADLE_EXPORT int32_t treadle_engine_use_threads(TreadleEngine*, int32_t threads);

/* Texts written below the caller. A slot with a text must not be fed by `step` until it is forgotten. */
TREADLE_EXPORT int32_t treadle_engine_begin(TreadleEngine*, int32_t slot, const TreadleText*);
TREADLE_EXPORT int32_t treadle_engine_forget(TreadleEngine*, int32_t slot);
/* From now on `draft`, a small model of the same vocabulary with at least the context and the slots, guesses what texts go
   on with: so many tokens each time, or as many as prove worth it where `ahead` is -1. The texts stay the same. The draft
   is not used otherwise, and outlives the engine. */
TREADLE_EXPORT int32_t treadle_engine_use_draft(TreadleEngine*, TreadleEngine* draft, int32_t ahead);
/* Tokens that the draft has guessed, and those of them that came. */
TREADLE_EXPORT void treadle_engine_guesses(const TreadleEngine*, int64_t* guessed, int64_t* right);
/* Tokens of the window of a slot's text that were read; right after `begin`, those that the cache held. */
TREADLE_EXPORT int64_t treadle_engine_read(const TreadleEngine*, int32_t slot);
/* Writes until a text ends, one gets its first token, one has got `most` tokens, or `seconds` have passed, but at least one step. A step writes a
   token of each text whose prompt is read, and reads on in the prompts of the others. `bursts` has room for one of each
   slot and `tokens` for `most` of each slot: those of burst i follow those of burst i - 1. `logs` is like `tokens`;
   alternatives are asked for afterwards. */
TREADLE_EXPORT int32_t treadle_engine_write(TreadleEngine*, double seconds, int32_t most, TreadleBurst* bursts,
                                            int32_t* burst_count, int32_t* tokens, double* logs);
/* Of the slot's last burst: `ids` and `logs` have room for its tokens times its alternatives. */
TREADLE_EXPORT int32_t treadle_engine_alternatives(const TreadleEngine*, int32_t slot, int32_t* ids, double* logs);

#ifdef __cplusplus
}
#endif

#endif
