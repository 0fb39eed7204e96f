/* acutance: restores the sharpness of blurred video. This is the engine as a C library.
 *
 * The library reads one plane of luma and writes one plane of luma, of the same size or, by an upscaler, larger: 8 to
 * 16 bits, any size, any row stride (negative too). It does not need chroma. The results are the same bits on every
 * processor and with any number of threads. `acutance convert` writes the models that it loads.
 *
 * Several threads may use one engine; their frames take turns. A session remembers the last frame: it belongs to one
 * stream, and to one thread at a time. After fork() engines work in the child, and so do sessions that were not in the
 * middle of a frame. No function calls back or prints. The floating-point rounding mode must be the default one.
 *
 * After the first frame of a format, acutance_process and acutance_session_process allocate no memory until the format
 * changes.
 *
 * Structures begin with their size: set `size` to sizeof the structure, and all other fields that you do not use to
 * zero. Later versions add fields at the end only, so a program that was built with an older header keeps working. A
 * library that is older than the header refuses a field that it does not know, unless that field is zero.
 */
#ifndef ACUTANCE_H
#define ACUTANCE_H

#include <stddef.h>
#include <stdint.h>

#if defined(ACUTANCE_SHARED) && defined(_WIN32)
#if defined(ACUTANCE_BUILDING)
#define ACUTANCE_API __declspec(dllexport)
#else
#define ACUTANCE_API __declspec(dllimport)
#endif
#elif defined(ACUTANCE_SHARED) && defined(__GNUC__)
#define ACUTANCE_API __attribute__((visibility("default")))
#else
#define ACUTANCE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header; acutance_version() is the version of the library. */
#define ACUTANCE_VERSION_MAJOR 0
#define ACUTANCE_VERSION_MINOR 1
#define ACUTANCE_VERSION_PATCH 0

typedef struct acutance_engine acutance_engine;
typedef struct acutance_session acutance_session;

typedef enum acutance_status {
    ACUTANCE_OK = 0,
    ACUTANCE_INVALID_ARGUMENT = 1,
    ACUTANCE_INVALID_MODEL = 2,
    ACUTANCE_UNSUPPORTED = 3, /* an instruction set that this processor or this build does not have */
    ACUTANCE_CANNOT_READ = 4, /* the model file cannot be read */
    ACUTANCE_OUT_OF_MEMORY = 5,
    ACUTANCE_INTERNAL_ERROR = 6 /* a bug in the library: please report it with acutance_last_error() */
} acutance_status;

/* Return the version of the library, such as "0.1.0". The string is static. */
ACUTANCE_API const char* acutance_version(void);

/* Return the reason why this thread's last failed call failed: one line, valid until the next call that fails. */
ACUTANCE_API const char* acutance_last_error(void);

/* Return the instruction sets that this processor can run, the fastest first: names, ended by NULL. */
ACUTANCE_API const char* const* acutance_instruction_sets(void);

/* How an engine runs. */
typedef struct acutance_engine_options {
    size_t size;                 /* sizeof(acutance_engine_options) */
    int threads;                 /* threads that work on a frame, the caller's among them; 0: one per processor */
    int pin_threads;             /* 1: keep the engine's own threads apart, each on a processor of its own, within the
                                  * affinity that they inherited. The affinity of the caller's thread never changes.
                                  * 0: leave them where the operating system puts them. Linux only. */
    const char* instruction_set; /* one of acutance_instruction_sets(); NULL: the environment variable
                                  * ACUTANCE_INSTRUCTION_SET, or else the fastest */
} acutance_engine_options;

/* Load a model from a file, or from memory that is not needed afterwards. options: NULL for the default of each.
 * On failure *engine is NULL. */
ACUTANCE_API acutance_status acutance_load(const char* path, const acutance_engine_options* options,
                                           acutance_engine** engine);
ACUTANCE_API acutance_status acutance_load_memory(const void* model, size_t model_size,
                                                  const acutance_engine_options* options, acutance_engine** engine);
/* Free an engine, or do nothing for NULL. Close its sessions first. */
ACUTANCE_API void acutance_free(acutance_engine* engine);

/* Return the instruction set that an engine uses, and its number of threads. */
ACUTANCE_API const char* acutance_engine_instruction_set(const acutance_engine* engine);
ACUTANCE_API int acutance_engine_threads(const acutance_engine* engine);

/* The samples of a plane: uint8_t for 8 bits; uint16_t for more, in native byte order, with the value in the lower
 * bits. */
typedef struct acutance_format {
    size_t size;       /* sizeof(acutance_format) */
    int width, height; /* 1 to 65535 */
    int bit_depth;     /* 8 to 16 */
    int full_range;    /* 0: black is 16 and white 235, times 2^(bit_depth - 8); 1: black is 0, white 2^bit_depth - 1 */
} acutance_format;

/* Return the size of the output for an input of width x height. It is the same size, or larger if the model is an
 * upscaler. */
ACUTANCE_API acutance_status acutance_output_size(const acutance_engine* engine, int width, int height, int* out_width,
                                                  int* out_height);

/* Sharpen a plane. `format` describes the input; the output has the size that acutance_output_size returns, and the
 * same samples. Strides are the bytes from one row to the next. strength: 0 (the input, bit for bit) to 2; the model
 * was trained for 1. At 0 an upscaler returns its bicubic enlargement. The function refuses planes that overlap. It
 * trusts the caller that they are large enough. */
ACUTANCE_API acutance_status acutance_process(acutance_engine* engine, const acutance_format* format, const void* luma,
                                              ptrdiff_t luma_stride, void* out, ptrdiff_t out_stride, double strength);

/* Compute the residual alone, for pictures that are not planes of integer luma. The residual has the size of the
 * output; that of an upscaler belongs to the enlarged picture. Samples are 64 times 8-bit
 * limited-range codes; values of 16384 and more in size are clipped. */
ACUTANCE_API acutance_status acutance_residual(acutance_engine* engine, int width, int height, const int16_t* luma,
                                               ptrdiff_t luma_stride, int16_t* residual, ptrdiff_t residual_stride);

/* Which tiles of a frame a session computes. All zero: every tile of every frame. */
typedef struct acutance_tile_options {
    size_t size;        /* sizeof(acutance_tile_options) */
    int threshold;      /* Tiles (16 x 16 input samples or a little more) of lower activity are not computed: they pass
                         * through unchanged, or are the enlargement alone. Activity is
                         * the largest absolute Laplacian of the tile's input, in 8-bit codes. Tiles that were computed
                         * in the last frame count as a quarter more active. */
    int reuse;          /* 1: a tile whose input did not change since the last frame keeps its output. After frames that
                         * could reuse hardly anything, a few are computed without comparing. */
    double tile_budget; /* compute at most this share of the tiles, the most active ones; 0: no limit */
    double time_budget; /* compute at most as many tiles as recent frames computed in this many seconds; 0: no limit */
} acutance_tile_options;

/* The number of a frame's tiles, and of those computed, passed through and reused. */
typedef struct acutance_tile_counts {
    size_t size; /* sizeof(acutance_tile_counts) */
    int tiles, computed, passed, reused;
} acutance_tile_counts;

/* Open a session for one stream. options: NULL for the default of each. On failure *session is NULL. */
ACUTANCE_API acutance_status acutance_session_open(acutance_engine* engine, const acutance_tile_options* options,
                                                   acutance_session** session);
/* Close a session, or do nothing for NULL. */
ACUTANCE_API void acutance_session_close(acutance_session* session);
/* Compute with another model of the same shape from the next frame on, for this stream alone. Nothing is dropped: tiles
 * that did not change keep what the earlier model made of them, and are computed again over the next 8 frames. */
ACUTANCE_API acutance_status acutance_session_set_model(acutance_session* session, const void* model, size_t size);
/* Use other options from the next frame on. The session still remembers the last frame. */
ACUTANCE_API acutance_status acutance_session_set_options(acutance_session* session,
                                                          const acutance_tile_options* options);
/* Sharpen the next frame of the stream. A frame whose format or strength differs from the last one's starts afresh. */
ACUTANCE_API acutance_status acutance_session_process(acutance_session* session, const acutance_format* format,
                                                      const void* luma, ptrdiff_t luma_stride, void* out,
                                                      ptrdiff_t out_stride, double strength);
/* Write the counts of the last frame to *counts, of which only `size` is read. */
ACUTANCE_API acutance_status acutance_session_counts(const acutance_session* session, acutance_tile_counts* counts);
/* Forget the last frame, as after a seek or a cut. */
ACUTANCE_API void acutance_session_reset(acutance_session* session);

/* Measure for `seconds` how many int16 multiply-accumulates per second `threads` threads reach when they do nothing
 * else: the figure that a model's speed is compared with. Returns 0 for an unknown instruction set. */
ACUTANCE_API double acutance_peak(double seconds, int threads, const char* instruction_set);

#ifdef __cplusplus
}
#endif

#endif
