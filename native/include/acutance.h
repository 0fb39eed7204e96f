/* acutance: gives blurred video its sharpness back. The engine as a C library.
 *
 * One plane of luma in, one plane of luma out, 8 to 16 bits, any size, any row stride (negative too). Chroma is not
 * needed. Results are the same bits on every processor, with any number of threads. `acutance convert` writes the
 * models it loads.
 *
 * An engine may be used by several threads at once (their frames take turns). A session remembers the frame before: it
 * belongs to one stream, and to one thread at a time. After fork() engines work in the child; so do sessions that were
 * not in the middle of a frame. No function calls back or prints. The caller's rounding mode must be the usual one.
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

#define ACUTANCE_VERSION_MAJOR 0
#define ACUTANCE_VERSION_MINOR 1

typedef struct acutance_engine acutance_engine;
typedef struct acutance_session acutance_session;

typedef enum acutance_status {
    ACUTANCE_OK = 0,
    ACUTANCE_INVALID_ARGUMENT = 1,
    ACUTANCE_INVALID_MODEL = 2,
    ACUTANCE_UNSUPPORTED = 3, /* an instruction set that this processor or build does not have */
    ACUTANCE_CANNOT_READ = 4,
    ACUTANCE_OUT_OF_MEMORY = 5
} acutance_status;

/* What went wrong in this thread's last call that failed: one line, valid until its next call that fails. */
ACUTANCE_API const char* acutance_last_error(void);

/* The instruction sets this processor can run, fastest first, as an array of names that ends with NULL. */
ACUTANCE_API const char* const* acutance_instruction_sets(void);

/* Load a model from a file or from memory (which is not needed afterwards). On failure *engine is NULL.
 * threads: how many work on a frame, the caller's among them; 0 for as many as the machine has.
 * instruction_set: one of acutance_instruction_sets(), or NULL for what the environment variable
 * ACUTANCE_INSTRUCTION_SET says, or else the fastest. */
ACUTANCE_API acutance_status acutance_load(const char* path, int threads, const char* instruction_set,
                                           acutance_engine** engine);
ACUTANCE_API acutance_status acutance_load_memory(const void* model, size_t size, int threads,
                                                  const char* instruction_set, acutance_engine** engine);
/* Accepts NULL. Sessions of the engine must be closed first. */
ACUTANCE_API void acutance_free(acutance_engine* engine);

/* The instruction set an engine uses, and its number of threads. */
ACUTANCE_API const char* acutance_engine_instruction_set(const acutance_engine* engine);
ACUTANCE_API int acutance_engine_threads(const acutance_engine* engine);

/* What a plane's samples are. Up to 8 bits in uint8_t, above that in uint16_t (native byte order, values in the lower
 * bits). */
typedef struct acutance_format {
    int width, height; /* 1 to 65535 */
    int bit_depth;     /* 8 to 16 */
    int full_range;    /* 0: black is 16, white 235 (times 2^(bit_depth - 8)); 1: black is 0, white 2^bit_depth - 1 */
} acutance_format;

/* Sharpen a plane of format->height rows. Strides are bytes from row to row. strength: 0 (the input, bit for bit) to 2;
 * 1 is what the model was trained for. Planes that overlap are refused; that they are large enough is the caller's
 * word. */
ACUTANCE_API acutance_status acutance_process(acutance_engine* engine, const acutance_format* format, const void* luma,
                                              ptrdiff_t luma_stride, void* out, ptrdiff_t out_stride, double strength);

/* The residual alone, for pictures that are not planes of integer luma. Samples in and out are 64 times 8-bit
 * limited-range codes, within 16384 in size; what lies beyond is clipped. */
ACUTANCE_API acutance_status acutance_residual(acutance_engine* engine, int width, int height, const int16_t* luma,
                                               ptrdiff_t luma_stride, int16_t* residual, ptrdiff_t residual_stride);

/* How much of a frame a session computes. All zero: everything, every time. */
typedef struct acutance_tile_options {
    /* Tiles (16 x 16 pixels or a little more) whose activity, the largest absolute Laplacian of their input in 8-bit
     * codes, lies below this pass through unchanged. Tiles computed in the last frame count as a quarter more active.
     */
    int threshold;
    double tile_budget; /* at most this share of the tiles, the most active ones; 0: no limit */
    double time_budget; /* at most as many as were computed in this many seconds lately; 0: no limit */
    int reuse;          /* 1: tiles whose input is that of the last frame keep their output, which it equals; after
                         * frames that could reuse hardly anything, a few are computed without comparing */
} acutance_tile_options;

typedef struct acutance_tile_counts {
    int tiles, computed, passed, reused;
} acutance_tile_counts;

ACUTANCE_API acutance_status acutance_session_open(acutance_engine* engine, const acutance_tile_options* options,
                                                   acutance_session** session);
/* Accepts NULL. */
ACUTANCE_API void acutance_session_close(acutance_session* session);
/* New options from the next frame on; what is remembered stays. */
ACUTANCE_API acutance_status acutance_session_set_options(acutance_session* session,
                                                          const acutance_tile_options* options);
/* The next frame of a stream. A frame of another format or strength than the last starts afresh. */
ACUTANCE_API acutance_status acutance_session_process(acutance_session* session, const acutance_format* format,
                                                      const void* luma, ptrdiff_t luma_stride, void* out,
                                                      ptrdiff_t out_stride, double strength);
/* What became of the last frame's tiles. */
ACUTANCE_API acutance_tile_counts acutance_session_counts(const acutance_session* session);
/* Forget the last frame: after a seek, or a cut that is known. */
ACUTANCE_API void acutance_session_reset(acutance_session* session);

/* Multiply-accumulates a second of int16 that `threads` threads reach with nothing else to do, measured for `seconds`:
 * what the speed of a model is to be compared with. 0 for an unknown instruction set. */
ACUTANCE_API double acutance_peak(double seconds, int threads, const char* instruction_set);

#ifdef __cplusplus
}
#endif

#endif
