/* Follows faces live in a terminal: label, score, probabilities, uncertainty over time, milliseconds
 * per stage. Frames come from standard input as Y4M, or raw. On a terminal one block is written over
 * and over, else (into a file or a pipe) one line a frame and face.
 *
 *   cargo build --release --package dmue-edge-c
 *   cc -std=c99 -I include examples/c/webcam.c target/release/libdmue_edge.so -o webcam
 *   ln -s libdmue_edge.so target/release/libdmue_edge.so.1
 *   ffmpeg -loglevel error -f v4l2 -i /dev/video0 -pix_fmt yuv420p -f yuv4mpegpipe - |
 *       LD_LIBRARY_PATH=target/release ./webcam
 *   ffmpeg -loglevel error -re -i video.mp4 -s 640x480 -pix_fmt bgr24 -f rawvideo - |
 *       LD_LIBRARY_PATH=target/release ./webcam --raw bgr24 640 480 30
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dmue_edge.h"
#include "y4m.h"

enum { MOST_FACES = 6, MOST_SIDE = 8192, BAR = 12, PAST = 24, BEST_CLASSES = 3 };

static const struct {
    const char *name;
    dmue_pixel_format format;
    unsigned bits; /* of a pixel, on average */
} FORMATS[] = {
    {"gray8", DMUE_PIXEL_FORMAT_GRAY8, 8},    {"rgb24", DMUE_PIXEL_FORMAT_RGB24, 24},
    {"bgr24", DMUE_PIXEL_FORMAT_BGR24, 24},   {"rgba32", DMUE_PIXEL_FORMAT_RGBA32, 32},
    {"bgra32", DMUE_PIXEL_FORMAT_BGRA32, 32}, {"nv12", DMUE_PIXEL_FORMAT_NV12, 12},
    {"i420", DMUE_PIXEL_FORMAT_I420, 12},     {"yuyv", DMUE_PIXEL_FORMAT_YUYV, 16},
};
enum { FORMAT_COUNT = sizeof FORMATS / sizeof FORMATS[0] };

/* What standard input holds. */
typedef struct {
    int raw;
    dmue_pixel_format format;
    y4m_video video;
    size_t frame_size;
} source;

/* The last uncertainties, 1 - score, of one face; the newest is at `count - 1` modulo PAST. */
typedef struct {
    uint64_t track_id;
    unsigned long count, last_frame;
    float values[PAST];
} history;

typedef struct {
    dmue_engine *engine;   /* one for all streams */
    dmue_session *session; /* one for each stream */
    dmue_frame frame;
    dmue_face faces[MOST_FACES];
    size_t face_count, class_count;
    history past[MOST_FACES];
    unsigned long frame_count;
    int live;  /* standard output is a terminal */
    int lines; /* of the block that stands there */
} watcher;

static volatile sig_atomic_t stopped = 0;

static void stop(int signal_number) {
    (void)signal_number;
    stopped = 1;
}

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, dmue_last_error());
    return 1;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + now.tv_nsec * 1e-9;
}

static const char *label_of(const watcher *self, const dmue_face *face) {
    return face->steadied_unsure ? "unsure"
                                 : dmue_engine_class_name(self->engine, face->steadied_class_index);
}

/* A face's history, or that of the face which was out of sight longest, emptied. */
static history *history_of(watcher *self, uint64_t track_id) {
    history *oldest = &self->past[0];
    size_t i;
    for (i = 0; i < MOST_FACES; i++) {
        if (self->past[i].track_id == track_id) {
            return &self->past[i];
        }
        if (self->past[i].last_frame < oldest->last_frame) {
            oldest = &self->past[i];
        }
    }
    memset(oldest, 0, sizeof *oldest);
    oldest->track_id = track_id;
    return oldest;
}

static void print_bar(float share) {
    int i;
    for (i = 0; i < BAR; i++) {
        putchar(i < share * BAR ? '#' : '.');
    }
}

static void print_past(const history *past) {
    static const char *const LEVELS[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    unsigned long i = past->count > PAST ? past->count - PAST : 0;
    for (; i < past->count; i++) {
        fputs(LEVELS[(int)(past->values[i % PAST] * 7.99f)], stdout);
    }
}

/* The most probable classes, the best first; probabilities that were printed become -1. */
static void print_best(const watcher *self, float *probabilities) {
    size_t printed, i;
    printf("        ");
    for (printed = 0; printed < BEST_CLASSES && printed < self->class_count; printed++) {
        size_t best = 0;
        for (i = 1; i < self->class_count; i++) {
            if (probabilities[i] > probabilities[best]) {
                best = i;
            }
        }
        printf("%s %.12s %.0f %%", printed == 0 ? "" : ",",
               dmue_engine_class_name(self->engine, best), probabilities[best] * 100);
        probabilities[best] = -1;
    }
    putchar('\n');
}

/* At most 79 columns wide, so that no line wraps and the way back up is known. */
static int print_block(watcher *self, double time, double rate) {
    dmue_timings timings;
    size_t i;
    dmue_timings_init(&timings, sizeof timings);
    if (dmue_session_timings(self->session, &timings) != DMUE_STATUS_OK) {
        return failed("dmue_session_timings");
    }
    if (self->lines > 0) {
        printf("\033[%dA\033[J", self->lines); /* up, then clear to the end of the screen */
    }
    printf("%8.1f s %6.1f pictures/s   detect %.1f, align %.1f, classify %.1f ms\n", time, rate,
           timings.detect_ms, timings.align_ms, timings.classify_ms);
    for (i = 0; i < self->face_count; i++) {
        const dmue_face *face = &self->faces[i];
        printf("face %-3llu %-12.12s %.2f ", (unsigned long long)face->track_id,
               label_of(self, face), face->steadied_score);
        print_bar(face->steadied_score);
        printf(" uncertainty ");
        print_past(history_of(self, face->track_id));
        putchar('\n');
        print_best(self, face->steadied_probabilities);
    }
    if (self->face_count == 0) {
        puts("no face in sight");
    }
    self->lines = 1 + (self->face_count == 0 ? 1 : 2 * (int)self->face_count);
    return 0;
}

static void print_log(const watcher *self, double time) {
    size_t i;
    for (i = 0; i < self->face_count; i++) {
        const dmue_face *face = &self->faces[i];
        printf("%.3f s: face %llu: %s, score %.2f\n", time, (unsigned long long)face->track_id,
               label_of(self, face), face->steadied_score);
    }
}

static int answer(watcher *self, double time, double rate) {
    size_t i;
    if (dmue_session_process(self->session, &self->frame, (uint64_t)(time * 1e6), self->faces,
                             MOST_FACES, &self->face_count) != DMUE_STATUS_OK) {
        return failed("dmue_session_process");
    }
    self->frame_count++;
    for (i = 0; i < self->face_count; i++) {
        history *past = history_of(self, self->faces[i].track_id);
        past->last_frame = self->frame_count;
        past->values[past->count++ % PAST] = 1 - self->faces[i].steadied_score;
    }
    if (self->live && print_block(self, time, rate) != 0) {
        return 1;
    }
    if (!self->live) {
        print_log(self, time);
    }
    fflush(stdout);
    return 0;
}

static int read_frame(const source *input, unsigned char *bytes) {
    return input->raw ? fread(bytes, 1, input->frame_size, stdin) == input->frame_size
                      : y4m_read_frame(bytes, input->frame_size);
}

/* Until standard input ends or Ctrl-C. */
static int watch(watcher *self, const source *input, unsigned char *bytes) {
    const y4m_video *video = &input->video;
    double last = seconds_now(), rate = 0, time = 0;
    dmue_frame_init(&self->frame, sizeof self->frame);
    if (dmue_frame_set_buffer(&self->frame, input->format, video->width, video->height, bytes,
                              input->frame_size, 0) != DMUE_STATUS_OK) {
        return failed("dmue_frame_set_buffer");
    }
    if (video->full_range) {
        self->frame.yuv_colour = DMUE_YUV_COLOUR_BT601_FULL;
    }
    for (; !stopped && read_frame(input, bytes); time += video->frame_seconds) {
        double now = seconds_now();
        double latest = 1 / (now - last + 1e-9);
        rate = self->frame_count < 2 ? latest : 0.9 * rate + 0.1 * latest;
        last = now;
        if (answer(self, time, rate) != 0) {
            return 1;
        }
    }
    return 0;
}

/* Loads the model, starts a session and has the probabilities of each face written. */
static int prepare(watcher *self, double tolerated_error, float **probabilities) {
    dmue_engine_options engine_options;
    dmue_session_options options;
    size_t i;
    dmue_engine_options_init(&engine_options, sizeof engine_options);
    engine_options.detector_levels = 1; /* faces near the camera, at a fifth of the time */
    dmue_session_options_init(&options, sizeof options);
    options.maximum_faces = MOST_FACES;
    options.tolerated_error = tolerated_error;
    if (dmue_engine_open(&engine_options, &self->engine) != DMUE_STATUS_OK) {
        return failed("dmue_engine_open");
    }
    if (dmue_session_new(self->engine, &options, &self->session) != DMUE_STATUS_OK) {
        return failed("dmue_session_new");
    }
    self->class_count = dmue_engine_class_count(self->engine);
    *probabilities = calloc(2 * MOST_FACES * self->class_count, sizeof **probabilities);
    if (*probabilities == NULL) {
        fprintf(stderr, "no memory for the probabilities\n");
        return 1;
    }
    dmue_faces_init(self->faces, MOST_FACES, sizeof self->faces[0]);
    for (i = 0; i < MOST_FACES; i++) {
        self->faces[i].probabilities = *probabilities + 2 * i * self->class_count;
        self->faces[i].steadied_probabilities = *probabilities + (2 * i + 1) * self->class_count;
        self->faces[i].probability_capacity = self->class_count;
    }
    return 0;
}

/* FORMAT WIDTH HEIGHT RATE; 0 if they are no such thing. */
static int read_raw_arguments(char **arguments, source *input) {
    double rate = strtod(arguments[3], NULL);
    unsigned long width = strtoul(arguments[1], NULL, 10);
    unsigned long height = strtoul(arguments[2], NULL, 10);
    size_t pixels, i;
    for (i = 0; i < FORMAT_COUNT && strcmp(FORMATS[i].name, arguments[0]) != 0; i++) {
    }
    /* Even sides, so that pixels which share their colour come out even. */
    if (i == FORMAT_COUNT || width < 1 || width > MOST_SIDE || width % 2 != 0 || height < 1 ||
        height > MOST_SIDE || height % 2 != 0 || !(rate >= 0.001 && rate <= 1000)) {
        return 0;
    }
    pixels = (size_t)width * height;
    input->raw = 1;
    input->format = FORMATS[i].format;
    input->video.width = (unsigned)width;
    input->video.height = (unsigned)height;
    input->video.frame_seconds = 1 / rate;
    input->frame_size = pixels * FORMATS[i].bits / 8;
    return 1;
}

/* 0 if the command line cannot be understood. */
static int read_arguments(int count, char **arguments, source *input, double *tolerated_error) {
    int i = 1;
    while (i < count) {
        if (strcmp(arguments[i], "--tolerated-error") == 0 && i + 1 < count) {
            *tolerated_error = strtod(arguments[i + 1], NULL);
            if (!(*tolerated_error > 0)) { /* 0 would mean never unsure */
                return 0;
            }
            i += 2;
        } else if (strcmp(arguments[i], "--raw") == 0 && i + 4 < count &&
                   read_raw_arguments(arguments + i + 1, input)) {
            i += 5;
        } else {
            return 0;
        }
    }
    return 1;
}

int main(int argument_count, char **arguments) {
    static watcher self;
    source input = {0, DMUE_PIXEL_FORMAT_I420, {0, 0, 0, 0}, 0};
    struct sigaction action;
    unsigned char *bytes;
    float *probabilities = NULL;
    double tolerated_error = 0;
    int result;

    if (!read_arguments(argument_count, arguments, &input, &tolerated_error)) {
        fprintf(stderr, "usage: webcam [--tolerated-error SHARE] [--raw FORMAT WIDTH HEIGHT RATE]\n"
                        "  FORMAT: gray8 rgb24 bgr24 rgba32 bgra32 nv12 i420 yuyv; even sides up to "
                        "8192; RATE in frames per second\n"
                        "  without --raw, standard input is Y4M\n");
        return 2;
    }
    if (!input.raw) {
        if (!y4m_read_header(&input.video)) {
            fprintf(stderr, "standard input is no Y4M video with 4:2:0 frames of 8 bits a sample: "
                            "pipe one in, or use --raw\n");
            return 1;
        }
        input.frame_size = y4m_frame_size(&input.video);
    }
    bytes = malloc(input.frame_size);
    if (bytes == NULL) {
        fprintf(stderr, "no memory for a frame of %lu bytes\n", (unsigned long)input.frame_size);
        return 1;
    }
    /* Without SA_RESTART, so that Ctrl-C also ends a read that waits. */
    memset(&action, 0, sizeof action);
    action.sa_handler = stop;
    sigaction(SIGINT, &action, NULL);

    self.live = isatty(STDOUT_FILENO);
    result = prepare(&self, tolerated_error, &probabilities);
    if (result == 0) {
        result = watch(&self, &input, bytes);
    }
    dmue_session_free(self.session);
    dmue_engine_free(self.engine);
    free(probabilities);
    free(bytes);
    return result;
}
