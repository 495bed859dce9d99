/* What the C tests share. */
#ifndef DMUE_TEST_CHECK_H
#define DMUE_TEST_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dmue_edge.h"

/* Unlike assert, also there when NDEBUG is defined. */
#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            fprintf(stderr, "%s:%d: not true: %s\nlast error: %s\n", __FILE__, __LINE__, \
                    #condition, dmue_last_error());                                      \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

#define CHECK_STATUS(call, expected) CHECK((call) == (expected))

/* Reads a whole file; the caller frees it. */
static inline unsigned char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    unsigned char *bytes;
    long length;
    CHECK(file != NULL);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    length = ftell(file);
    CHECK(length >= 0);
    rewind(file);
    *size = (size_t)length;
    bytes = (unsigned char *)malloc(*size == 0 ? 1 : *size);
    CHECK(bytes != NULL);
    CHECK(fread(bytes, 1, *size, file) == *size);
    fclose(file);
    return bytes;
}

#endif
