/* From dmue_engine_open to the first result, and the memory of a running session.
 *
 *   cc -std=c99 -O2 -I include benches/cold_start.c LIBRARY -o cold_start
 *   ./cold_start PICTURE.rgb WIDTH HEIGHT [DETECTOR_LEVELS [MODEL]]
 *
 * The picture is red, green and blue without a header: `ffmpeg -i portrait.png -pix_fmt rgb24 -f rawvideo
 * portrait.rgb`. Start it several times: a process is cold only once. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dmue_edge.h"

enum { FRAMES = 60, MOST_FACES = 16 };

/* CLOCK_MONOTONIC for what a user waits, CLOCK_PROCESS_CPUTIME_ID for what a busy machine hides. */
static double now_ms(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

/* A line of /proc/self/status, in MiB; 0 where there is none. */
static double memory_mib(const char *name) {
    char line[256];
    double kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            kib = atof(line + strlen(name) + 1);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib / 1024;
}

static void must(dmue_status status) {
    if (status != DMUE_STATUS_OK) {
        fprintf(stderr, "%s\n", dmue_last_error());
        exit(1);
    }
}

static dmue_frame read_frame(char **arguments) {
    dmue_frame frame;
    unsigned width = (unsigned)atoi(arguments[2]), height = (unsigned)atoi(arguments[3]);
    size_t size = (size_t)width * height * 3;
    unsigned char *pixels = malloc(size);
    FILE *file = fopen(arguments[1], "rb");
    if (pixels == NULL || file == NULL || fread(pixels, 1, size, file) != size) {
        fprintf(stderr, "%s: not %ux%u pixels of 3 bytes\n", arguments[1], width, height);
        exit(1);
    }
    fclose(file);
    must(dmue_frame_init(&frame, sizeof frame));
    must(dmue_frame_set_buffer(&frame, DMUE_PIXEL_FORMAT_RGB24, width, height, pixels, size, 0));
    return frame;
}

int main(int argument_count, char **arguments) {
    dmue_engine_options options;
    dmue_engine *engine = NULL;
    dmue_session *session = NULL;
    dmue_frame frame;
    dmue_face faces[MOST_FACES];
    size_t count = 0;
    double start, opened, answered, start_busy, busy;
    uint64_t i;

    if (argument_count < 4) {
        fprintf(stderr, "usage: cold_start PICTURE.rgb WIDTH HEIGHT [DETECTOR_LEVELS [MODEL]]\n");
        return 2;
    }
    frame = read_frame(arguments);
    must(dmue_faces_init(faces, MOST_FACES, sizeof faces[0]));
    must(dmue_engine_options_init(&options, sizeof options));
    if (argument_count > 4) {
        options.detector_levels = (uint32_t)atoi(arguments[4]);
    }
    if (argument_count > 5) {
        options.model_path = arguments[5];
    }

    start = now_ms(CLOCK_MONOTONIC);
    start_busy = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    must(dmue_engine_open(&options, &engine));
    opened = now_ms(CLOCK_MONOTONIC);
    busy = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    printf("open: %.1f ms, %.1f of them busy\n", opened - start, busy - start_busy);
    must(dmue_engine_predict(engine, &frame, faces, MOST_FACES, &count));
    answered = now_ms(CLOCK_MONOTONIC);
    busy = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    printf("first result: %.1f ms after open began, %.1f of them busy; %u faces\n",
           answered - start, busy - start_busy, (unsigned)count);

    must(dmue_session_new(engine, NULL, &session));
    start = now_ms(CLOCK_MONOTONIC);
    start_busy = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    for (i = 0; i < FRAMES; i++) {
        must(dmue_session_process(session, &frame, i * 66000, faces, MOST_FACES, &count));
    }
    printf("session: %.2f ms a frame, %.2f of them busy; memory %.1f MiB, at most %.1f MiB\n",
           (now_ms(CLOCK_MONOTONIC) - start) / FRAMES,
           (now_ms(CLOCK_PROCESS_CPUTIME_ID) - start_busy) / FRAMES, memory_mib("VmRSS"),
           memory_mib("VmHWM"));
    dmue_session_free(session);
    dmue_engine_free(engine);
    return 0;
}
