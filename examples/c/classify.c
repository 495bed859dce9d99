/* Names the expression of every face in a binary PPM picture.
 *
 *   cargo build --release --package dmue-edge-c
 *   cc -std=c99 -I include examples/c/classify.c target/release/libdmue_edge.so -o classify
 *   ln -s libdmue_edge.so target/release/libdmue_edge.so.1
 *   ffmpeg -i examples/images/astronaut.png portrait.ppm
 *   LD_LIBRARY_PATH=target/release ./classify portrait.ppm
 */
#include <stdio.h>
#include <stdlib.h>

#include "dmue_edge.h"

enum { MOST_FACES = 16 };

/* Red, green and blue of a picture with 8 bits a sample, to be freed; NULL if it cannot be read. */
static unsigned char *read_ppm(const char *path, unsigned *width, unsigned *height, size_t *size) {
    unsigned most = 0;
    unsigned char *pixels = NULL;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    if (fscanf(file, "P6 %u %u %u", width, height, &most) == 3 && most == 255 &&
        fgetc(file) != EOF && *width > 0 && *width <= 16384 && *height > 0 && *height <= 16384) {
        *size = (size_t)*width * *height * 3;
        pixels = malloc(*size);
        if (pixels != NULL && fread(pixels, 1, *size, file) != *size) {
            free(pixels);
            pixels = NULL;
        }
    }
    fclose(file);
    return pixels;
}

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, dmue_last_error());
    return 1;
}

int main(int argument_count, char **arguments) {
    dmue_engine *engine = NULL; /* load once, answer many frames */
    dmue_frame frame;
    dmue_face faces[MOST_FACES];
    unsigned width = 0, height = 0;
    size_t size = 0, count = 0, i;
    unsigned char *pixels;

    if (argument_count != 2) {
        fprintf(stderr, "usage: classify PICTURE.ppm\n");
        return 2;
    }
    pixels = read_ppm(arguments[1], &width, &height, &size);
    if (pixels == NULL) {
        fprintf(stderr, "%s: no binary PPM picture with 8 bits a sample\n", arguments[1]);
        return 1;
    }
    dmue_frame_init(&frame, sizeof frame);
    dmue_faces_init(faces, MOST_FACES, sizeof faces[0]);
    if (dmue_frame_set_buffer(&frame, DMUE_PIXEL_FORMAT_RGB24, width, height, pixels, size, 0) !=
        DMUE_STATUS_OK) {
        return failed(arguments[1]);
    }
    if (dmue_engine_open(NULL, &engine) != DMUE_STATUS_OK) {
        return failed("dmue_engine_open");
    }
    if (dmue_engine_predict(engine, &frame, faces, MOST_FACES, &count) != DMUE_STATUS_OK) {
        return failed("dmue_engine_predict");
    }
    for (i = 0; i < count; i++) {
        printf("%s, right with probability %.2f\n",
               dmue_engine_class_name(engine, faces[i].class_index), faces[i].score);
    }
    dmue_engine_free(engine);
    free(pixels);
    return 0;
}
