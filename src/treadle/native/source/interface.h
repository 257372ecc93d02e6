/* The C interface of Treadle's native core. Functions that can fail return 0 or an error code; the calling thread's
   `treadle_last_error` says why. Arrays are C-contiguous; sizes are checked. A trainer is used by one thread at a
   time. */
#ifndef TREADLE_INTERFACE_H
#define TREADLE_INTERFACE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TREADLE_EXPORT __attribute__((visibility("default")))
#define TREADLE_INTERFACE_VERSION 1

enum { TREADLE_OK = 0, TREADLE_INVALID = 1, TREADLE_OUT_OF_MEMORY = 2, TREADLE_UNSUPPORTED = 3 };
enum { TREADLE_RMSNORM = 0, TREADLE_LAYERNORM = 1 };
enum { TREADLE_ROPE = 0, TREADLE_LEARNED = 1 };
enum { TREADLE_SWIGLU = 0, TREADLE_GELU = 1, TREADLE_RELU2 = 2 };
enum { TREADLE_BFLOAT16 = 0, TREADLE_FLOAT32 = 1 };
enum { TREADLE_ADAMW = 0, TREADLE_MUON = 1 };
enum { TREADLE_WEIGHT = 0, TREADLE_FIRST_MOMENT = 1, TREADLE_SECOND_MOMENT = 2, TREADLE_GRADIENT = 3 };

typedef struct {
    int32_t layers, width, heads, kv_heads, head_width, feed_forward, vocabulary, context;
    int32_t norm, norm_gain, positions, qk_norm, activation, bias, tied_embeddings, embedding_norm;
    float norm_epsilon, rope_base, logit_soft_cap, dropout;
} TreadleShape;

typedef struct {
    int32_t precision;
    int32_t threads;
    int32_t gradient_shards; /* Partial gradients, summed in order: results depend on this number, not on threads. */
    int32_t pass_tokens;     /* Tokens that one thread carries through the network at once (at least one sequence). */
} TreadlePlan;

typedef struct {
    int64_t arena;    /* Bytes in all. */
    int64_t deferred; /* Of these, second moments, which are only touched for weights that AdamW moves. */
} TreadleMemory;

typedef struct {
    int32_t rows;
    int32_t columns; /* 0 for a vector of `rows` values. */
    char name[120];
} TreadleParameter;

typedef struct {
    const int32_t* inputs;  /* sequences x time token ids */
    const int32_t* targets; /* the same; -1 counts for nothing */
    int32_t sequences, time;
} TreadleBatch;

typedef struct {
    float loss_scale;      /* 1 / (targets of the whole step) */
    int32_t first;         /* 1 for a step's first batch: gradients start anew */
    int64_t first_sequence; /* number of the batch's first sequence within the step: dropout depends on it */
    uint64_t dropout_seed; /* differs from step to step */
} TreadleBackward;

typedef struct {
    int32_t algorithm;
    float rate;         /* already scheduled */
    float weight_decay; /* times the rate */
} TreadleRule;

typedef struct {
    int64_t step; /* from 1 */
    float gradient_scale;
    float beta1, beta2, epsilon;
    float momentum;
} TreadleUpdate;

typedef struct TreadleTrainer TreadleTrainer;

TREADLE_EXPORT int32_t treadle_interface_version(void);
TREADLE_EXPORT const char* treadle_instruction_set(void);
TREADLE_EXPORT int32_t treadle_machine_runs_this(void);
TREADLE_EXPORT const char* treadle_last_error(void);

/* Processor seconds of a short trial of products in one precision: `rows` tokens, a weight of `columns` x `inner` (both
   multiples of 64). */
TREADLE_EXPORT int32_t treadle_precision_trial(int32_t precision, int32_t rows, int32_t columns, int32_t inner,
                                               double* seconds);

TREADLE_EXPORT int32_t treadle_memory_required(const TreadleShape*, const TreadlePlan*, TreadleMemory* result);
TREADLE_EXPORT int32_t treadle_trainer_create(const TreadleShape*, const TreadlePlan*, TreadleTrainer** result);
TREADLE_EXPORT void treadle_trainer_destroy(TreadleTrainer*);

TREADLE_EXPORT int32_t treadle_trainer_parameter_count(const TreadleTrainer*);
TREADLE_EXPORT int32_t treadle_trainer_parameter(const TreadleTrainer*, int32_t index, TreadleParameter* result);
TREADLE_EXPORT int32_t treadle_trainer_read(const TreadleTrainer*, int32_t index, int32_t what, float* values,
                                            int64_t count);
/* After weights were written, `treadle_trainer_repack` must run before the next pass. */
TREADLE_EXPORT int32_t treadle_trainer_write(TreadleTrainer*, int32_t index, int32_t what, const float* values,
                                             int64_t count);
TREADLE_EXPORT int32_t treadle_trainer_repack(TreadleTrainer*);

/* Forward and backward; gradients add up until the next `first`. `loss` is the sum over targets, in nats. */
TREADLE_EXPORT int32_t treadle_trainer_backward(TreadleTrainer*, const TreadleBatch*, const TreadleBackward*,
                                                double* loss);
/* Sums the shards; must be called once between the last backward and the update. */
TREADLE_EXPORT int32_t treadle_trainer_gradient_norm(TreadleTrainer*, double* norm);
TREADLE_EXPORT int32_t treadle_trainer_update(TreadleTrainer*, const TreadleUpdate*, const TreadleRule* rules,
                                              int32_t rule_count);
TREADLE_EXPORT int32_t treadle_trainer_evaluate(TreadleTrainer*, const TreadleBatch*, double* loss);

#ifdef __cplusplus
}
#endif

#endif
