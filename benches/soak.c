/* soak RGB_FILE WIDTH HEIGHT FRAMES: one session answers that many small frames cut out of a picture.
 * The face comes, wanders, goes and comes back; some frames are noise, some are described wrongly or
 * come too early. Prints the resident memory after a warm-up, at every tenth and at the end; fails if
 * it grew by more than MOST_GROWTH_KB. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dmue_edge.h"

enum {
    SIDE = 128,           /* of a frame, in pixels */
    CYCLE = 800,          /* frames: a face for an eighth, noise for an eighth, then a frame that stands */
    WARM_UP = 5 * CYCLE,  /* frames, before the memory is looked at first */
    MOST_GROWTH_KB = 4096 /* over the whole run; a leak of 5 bytes a frame shows in a million */
};

#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            fprintf(stderr, "line %d: not true: %s; last error: %s\n", __LINE__, #condition, \
                    dmue_last_error());                                                     \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

typedef struct {
    unsigned char *pixels;
    uint32_t width, height;
    size_t size;
} picture;

typedef struct {
    unsigned long faces, tracks, refused;
    uint64_t last_track;
} totals;

static picture read_picture(char **arguments) {
    picture read = {NULL, (uint32_t)atoi(arguments[2]), (uint32_t)atoi(arguments[3]), 0};
    FILE *file = fopen(arguments[1], "rb");
    CHECK(file != NULL && read.width > 2 * SIDE && read.height > 2 * SIDE);
    read.size = (size_t)read.width * read.height * 3;
    read.pixels = malloc(read.size);
    CHECK(read.pixels != NULL && fread(read.pixels, 1, read.size, file) == read.size);
    fclose(file);
    return read;
}

/* In KB, from the system; 0 where it has no such file. */
static long resident_kb(void) {
    char line[256];
    long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmRSS: %ld", &kilobytes) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kilobytes;
}

/* Every number is different from run to run of the cycle, and the same in every run of the program. */
static uint32_t noise(uint32_t number) {
    number ^= number << 13;
    number ^= number >> 17;
    return number ^ number << 5;
}

/* A window onto the face (at 172, 74 and 105 pixels wide in the picture that this is run with) that
 * wanders by a few pixels. */
static void show_face(const picture *from, uint32_t number, dmue_frame *frame) {
    uint32_t x = 160 + noise(number / 8 + 1) % 4, y = 62 + noise(number / 8 + 7) % 4;
    size_t offset = ((size_t)y * from->width + x) * 3;
    CHECK(dmue_frame_set_buffer(frame, DMUE_PIXEL_FORMAT_RGB24, SIDE, SIDE, from->pixels + offset,
                                from->size - offset, (size_t)from->width * 3) == DMUE_STATUS_OK);
}

static void show_noise(uint32_t number, dmue_frame *frame) {
    static unsigned char pixels[SIDE * SIDE * 2];
    size_t i;
    for (i = 0; i < sizeof pixels; i += 4) {
        uint32_t value = noise((uint32_t)i + number + 1);
        memcpy(pixels + i, &value, sizeof value);
    }
    CHECK(dmue_frame_set_buffer(frame, DMUE_PIXEL_FORMAT_YUYV, SIDE, SIDE, pixels, sizeof pixels, 0) ==
          DMUE_STATUS_OK);
}

/* What a careless program does: each is refused and changes nothing. */
static void misuse(dmue_session *session, dmue_frame *frame, uint64_t time, totals *sum) {
    dmue_frame wrong = *frame;
    size_t count = 7;
    wrong.sizes[0] = 1;
    CHECK(dmue_session_process(session, &wrong, time, NULL, 0, &count) == DMUE_STATUS_FRAME && count == 0);
    CHECK(dmue_session_process(session, NULL, time, NULL, 0, &count) == DMUE_STATUS_NULL_ARGUMENT);
    CHECK(time == 0 ||
          dmue_session_process(session, frame, 0, NULL, 0, &count) == DMUE_STATUS_TIMESTAMP);
    sum->refused += 3;
}

static void answer(const picture *from, dmue_session *session, uint32_t number, totals *sum) {
    enum { MOST_FACES = 4, CLASSES = 64 };
    static float probabilities[MOST_FACES][CLASSES];
    uint32_t place = number % CYCLE, i;
    uint64_t time = (uint64_t)number * 33333 + 1; /* 30 frames a second */
    dmue_face faces[MOST_FACES];
    dmue_frame frame;
    size_t count = 0;

    CHECK(dmue_frame_init(&frame, sizeof frame) == DMUE_STATUS_OK);
    if (place < CYCLE / 8) {
        show_face(from, number, &frame);
    } else {
        show_noise(place < CYCLE / 4 ? number : 0, &frame);
    }
    CHECK(dmue_faces_init(faces, MOST_FACES, sizeof faces[0]) == DMUE_STATUS_OK);
    for (i = 0; i < MOST_FACES; i++) {
        faces[i].probabilities = probabilities[i];
        faces[i].probability_capacity = CLASSES;
    }
    CHECK(dmue_session_process(session, &frame, time, faces, MOST_FACES, &count) == DMUE_STATUS_OK);
    sum->faces += count;
    for (i = 0; i < count; i++) {
        sum->tracks += faces[i].track_id > sum->last_track;
        sum->last_track = faces[i].track_id > sum->last_track ? faces[i].track_id : sum->last_track;
    }
    if (place == CYCLE - 1) {
        misuse(session, &frame, time, sum);
    }
    if (number % (50 * CYCLE) == 50 * CYCLE - 1) {
        CHECK(dmue_session_reset(session) == DMUE_STATUS_OK);
    }
}

static dmue_session *begin(void) {
    dmue_engine *engine = NULL;
    dmue_session *session = NULL;
    dmue_session_options options;
    CHECK(dmue_engine_open(NULL, &engine) == DMUE_STATUS_OK);
    CHECK(dmue_session_options_init(&options, sizeof options) == DMUE_STATUS_OK);
    options.tolerated_error = 0.1;
    options.search_interval_ms = 3000; /* a search takes ten times as long as a look at a known face */
    options.keyframe_interval_ms = 3000;
    CHECK(dmue_session_new(engine, &options, &session) == DMUE_STATUS_OK);
    dmue_engine_free(engine);
    return session;
}

int main(int argument_count, char **arguments) {
    uint32_t frames, number;
    long before = 0, now = 0;
    totals sum = {0, 0, 0, 0};
    dmue_session *session;
    picture from;

    CHECK(argument_count == 5);
    from = read_picture(arguments);
    frames = (uint32_t)atol(arguments[4]);
    CHECK(frames >= 2 * WARM_UP);
    session = begin();
    for (number = 0; number < frames; number++) {
        if (number == WARM_UP) {
            before = resident_kb();
            printf("after %d frames: %ld KB\n", WARM_UP, before);
        }
        answer(&from, session, number, &sum);
        if ((number + 1) % (frames / 10) == 0) {
            now = resident_kb();
            printf("after %u frames: %ld KB, %lu faces on %lu tracks, %lu calls refused\n", number + 1,
                   now, sum.faces, sum.tracks, sum.refused);
            fflush(stdout);
        }
    }
    dmue_session_free(session);
    free(from.pixels);
    CHECK(sum.tracks > frames / CYCLE / 2 && sum.faces > sum.tracks);
    printf("grown by %ld KB, allowed are %d\n", now - before, MOST_GROWTH_KB);
    return now - before > MOST_GROWTH_KB;
}
