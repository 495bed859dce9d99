/* threads RGB_FILE WIDTH HEIGHT [--race]: two threads share an engine, each with a session of its own,
 * and come to the same answers. With --race they also share the memory for results, which is against
 * the rules: a checker of data races that does not report it checks nothing. */
#include <pthread.h>

#include "check.h"

enum { THREADS = 2, FRAMES = 4 };

typedef struct {
    const dmue_engine *engine;
    const dmue_frame *frame;
    dmue_face *face;
    uint32_t class_index;
    uint64_t track_id;
} worker;

static void *answer(void *data) {
    worker *self = data;
    dmue_session *session = NULL;
    size_t count = 0;
    uint64_t i;

    /* Before anything that could order the threads: shared memory is written by both at once. */
    CHECK_STATUS(dmue_faces_init(self->face, 1, sizeof *self->face), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_engine_predict(self->engine, self->frame, self->face, 1, &count), DMUE_STATUS_OK);
    CHECK(count == 1);
    self->class_index = self->face->class_index;
    CHECK_STATUS(dmue_session_new(self->engine, NULL, &session), DMUE_STATUS_OK);
    for (i = 0; i < FRAMES; i++) {
        CHECK_STATUS(dmue_session_process(session, self->frame, i * 66000, self->face, 1, &count),
                     DMUE_STATUS_OK);
        CHECK(count == 1);
    }
    self->track_id = self->face->track_id;
    /* An error text is the thread's own. */
    CHECK_STATUS(dmue_session_process(session, self->frame, 1, self->face, 1, &count),
                 DMUE_STATUS_TIMESTAMP);
    CHECK(strlen(dmue_last_error()) > 0);
    dmue_session_free(session);
    return NULL;
}

int main(int count, char **arguments) {
    dmue_engine_options options;
    dmue_engine *engine = NULL;
    dmue_face faces[THREADS];
    dmue_frame frame;
    worker workers[THREADS];
    pthread_t threads[THREADS];
    unsigned char *pixels;
    size_t size;
    int i, race;

    CHECK(count == 4 || count == 5);
    race = count == 5 && strcmp(arguments[4], "--race") == 0;
    pixels = read_file(arguments[1], &size);
    CHECK_STATUS(dmue_frame_init(&frame, sizeof frame), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_frame_set_buffer(&frame, DMUE_PIXEL_FORMAT_RGB24, (uint32_t)atoi(arguments[2]),
                                       (uint32_t)atoi(arguments[3]), pixels, size, 0),
                 DMUE_STATUS_OK);
    CHECK_STATUS(dmue_engine_options_init(&options, sizeof options), DMUE_STATUS_OK);
    options.detector_levels = 1;
    options.threads = THREADS;
    CHECK_STATUS(dmue_engine_open(&options, &engine), DMUE_STATUS_OK);
    for (i = 0; i < THREADS; i++) {
        worker begun = {engine, &frame, &faces[race ? 0 : i], 0, 0};
        workers[i] = begun;
        CHECK(pthread_create(&threads[i], NULL, answer, &workers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(workers[0].class_index == workers[1].class_index);
    CHECK(workers[0].track_id == workers[1].track_id);
    dmue_engine_free(engine);
    free(pixels);
    return 0;
}
