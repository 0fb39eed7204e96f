/* Sharpens a grey picture: acutance_pgm MODEL.acu IN.pgm OUT.pgm [STRENGTH]
 *
 * A player or a call application does the same with the luma plane of each frame. Write a model with:
 * acutance convert fast fast.acu
 */
#include <stdio.h>
#include <stdlib.h>

#include "acutance.h"

static int fail(const char* what, const char* why) {
    fprintf(stderr, "acutance_pgm: %s: %s\n", what, why);
    return 1;
}

/* Reads a binary PGM of 8 bits (netpbm's P5). The caller frees the samples. */
static unsigned char* read_pgm(const char* path, int* width, int* height) {
    FILE* file = fopen(path, "rb");
    unsigned char* samples = NULL;
    int top = 0;
    if (file == NULL) return NULL;
    if (fscanf(file, "P5 %d %d %d", width, height, &top) == 3 && top == 255 && fgetc(file) != EOF && *width > 0 &&
        *height > 0 && *width <= 65535 && *height <= 65535) {
        const size_t size = (size_t)*width * (size_t)*height;
        samples = malloc(size);
        if (samples != NULL && fread(samples, 1, size, file) != size) {
            free(samples);
            samples = NULL;
        }
    }
    fclose(file);
    return samples;
}

int main(int argc, char** argv) {
    if (argc < 4 || argc > 5) return fail("usage", "acutance_pgm MODEL.acu IN.pgm OUT.pgm [STRENGTH]");

    acutance_engine* engine = NULL;
    if (acutance_load(argv[1], NULL, &engine) != ACUTANCE_OK) return fail(argv[1], acutance_last_error());

    int status = 1, width = 0, height = 0;
    unsigned char* luma = read_pgm(argv[2], &width, &height);
    unsigned char* sharp = luma == NULL ? NULL : malloc((size_t)width * (size_t)height);
    if (luma == NULL || sharp == NULL) {
        fail(argv[2], "not a binary PGM of 8 bits");
    } else {
        const acutance_format format = {sizeof format, width, height, 8, 1}; /* PGM is full range */
        if (acutance_process(engine, &format, luma, width, sharp, width, argc == 5 ? atof(argv[4]) : 1.0) !=
            ACUTANCE_OK) {
            fail(argv[2], acutance_last_error());
        } else {
            FILE* file = fopen(argv[3], "wb");
            const size_t size = (size_t)width * (size_t)height;
            int written = 0;
            if (file != NULL) {
                written = fprintf(file, "P5\n%d %d\n255\n", width, height) > 0 && fwrite(sharp, 1, size, file) == size;
                written = fclose(file) == 0 && written;
            }
            status = written ? 0 : fail(argv[3], "cannot be written");
        }
    }
    free(sharp);
    free(luma);
    acutance_free(engine);
    return status;
}
