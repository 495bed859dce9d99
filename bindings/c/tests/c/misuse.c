/* misuse MODEL_FILE: every pointer null, every size wrong, and a session used twice at once. Nothing
 * crashes, and each failure says why. */
#include "check.h"

/* A failure leaves a text that names what was wrong. */
#define CHECK_FAILS(call, expected, word)                        \
    do {                                                         \
        CHECK_STATUS(call, expected);                            \
        CHECK(strstr(dmue_last_error(), word) != NULL);          \
        CHECK(strlen(dmue_status_text(expected)) > 0);           \
    } while (0)

static void null_pointers(const dmue_engine *engine) {
    dmue_engine *opened = NULL;
    dmue_session *session = NULL;
    dmue_frame frame;
    dmue_face face;
    size_t count = 7;

    CHECK_FAILS(dmue_engine_options_init(NULL, sizeof(dmue_engine_options)),
                DMUE_STATUS_NULL_ARGUMENT, "dmue_engine_options");
    CHECK_FAILS(dmue_session_options_init(NULL, sizeof(dmue_session_options)),
                DMUE_STATUS_NULL_ARGUMENT, "dmue_session_options");
    CHECK_FAILS(dmue_frame_init(NULL, sizeof frame), DMUE_STATUS_NULL_ARGUMENT, "dmue_frame");
    CHECK_FAILS(dmue_faces_init(NULL, 1, sizeof face), DMUE_STATUS_NULL_ARGUMENT, "dmue_face");
    CHECK_FAILS(dmue_known_face_init(NULL, sizeof(dmue_known_face)), DMUE_STATUS_NULL_ARGUMENT,
                "dmue_known_face");
    CHECK_FAILS(dmue_engine_open(NULL, NULL), DMUE_STATUS_NULL_ARGUMENT, "engine");
    CHECK_FAILS(dmue_engine_open_memory(NULL, NULL, 3, &opened), DMUE_STATUS_NULL_ARGUMENT, "model");
    CHECK(opened == NULL);

    CHECK_STATUS(dmue_frame_init(&frame, sizeof frame), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_faces_init(&face, 1, sizeof face), DMUE_STATUS_OK);
    CHECK_FAILS(dmue_engine_predict(NULL, &frame, &face, 1, &count), DMUE_STATUS_NULL_ARGUMENT,
                "engine");
    CHECK(count == 0);
    CHECK_FAILS(dmue_engine_predict(engine, NULL, &face, 1, &count), DMUE_STATUS_NULL_ARGUMENT,
                "dmue_frame");
    CHECK_FAILS(dmue_engine_predict(engine, &frame, NULL, 1, &count), DMUE_STATUS_NULL_ARGUMENT,
                "dmue_face");
    CHECK_FAILS(dmue_engine_predict(engine, &frame, &face, 1, NULL), DMUE_STATUS_NULL_ARGUMENT,
                "count");
    CHECK_FAILS(dmue_engine_predict_faces(engine, &frame, NULL, &face, 1),
                DMUE_STATUS_NULL_ARGUMENT, "dmue_known_face");
    CHECK_FAILS(dmue_engine_predict_crops(engine, NULL, &face, 1), DMUE_STATUS_NULL_ARGUMENT,
                "dmue_frame");
    CHECK_FAILS(dmue_session_new(NULL, NULL, &session), DMUE_STATUS_NULL_ARGUMENT, "engine");
    CHECK_FAILS(dmue_session_new(engine, NULL, NULL), DMUE_STATUS_NULL_ARGUMENT, "session");
    CHECK_FAILS(dmue_session_process(NULL, &frame, 0, &face, 1, &count), DMUE_STATUS_NULL_ARGUMENT,
                "session");
    CHECK_FAILS(dmue_session_timings(NULL, NULL), DMUE_STATUS_NULL_ARGUMENT, "session");
    CHECK_FAILS(dmue_session_reset(NULL), DMUE_STATUS_NULL_ARGUMENT, "session");
    CHECK(session == NULL);

    CHECK(dmue_engine_class_count(NULL) == 0 && dmue_engine_feature_size(NULL) == 0);
    CHECK(dmue_engine_class_name(NULL, 0) == NULL);
    CHECK(dmue_engine_class_name(engine, dmue_engine_class_count(engine)) == NULL);
    dmue_engine_free(NULL);
    dmue_session_free(NULL);
}

static void structures(const dmue_engine *engine) {
    dmue_engine_options options;
    dmue_engine *opened = NULL;
    dmue_frame frame;
    dmue_face face;
    size_t count;

    memset(&options, 0, sizeof options);
    CHECK_FAILS(dmue_engine_open(&options, &opened), DMUE_STATUS_STRUCT_SIZE, "dmue_engine_options");
    memset(&options, 0xcc, sizeof options);
    CHECK_FAILS(dmue_engine_open(&options, &opened), DMUE_STATUS_STRUCT_SIZE, "sizeof");
    CHECK_FAILS(dmue_engine_options_init(&options, 3), DMUE_STATUS_STRUCT_SIZE, "3");
    CHECK_STATUS(dmue_engine_options_init(&options, sizeof options), DMUE_STATUS_OK);
    options.threads = 0;
    CHECK_FAILS(dmue_engine_open(&options, &opened), DMUE_STATUS_OPTION, "threads");
    options.threads = 1;
    options.detector_levels = 0;
    CHECK_FAILS(dmue_engine_open(&options, &opened), DMUE_STATUS_OPTION, "levels");
    options.detector_levels = 1;
    options.model_path = "/nowhere/to/be.found";
    CHECK_FAILS(dmue_engine_open(&options, &opened), DMUE_STATUS_MODEL, "/nowhere/to/be.found");
    options.model_path = "\xff";
    CHECK_FAILS(dmue_engine_open(&options, &opened), DMUE_STATUS_INVALID_ARGUMENT, "UTF-8");
    CHECK_FAILS(dmue_engine_open_memory(NULL, (const uint8_t *)"no model", 8, &opened),
                DMUE_STATUS_MODEL, "");
    CHECK(opened == NULL);

    CHECK_STATUS(dmue_frame_init(&frame, sizeof frame), DMUE_STATUS_OK);
    memset(&face, 0, sizeof face);
    CHECK_FAILS(dmue_engine_predict(engine, &frame, &face, 1, &count), DMUE_STATUS_STRUCT_SIZE,
                "dmue_face");
    CHECK(strcmp(dmue_status_text(4000), dmue_status_text(0)) != 0);
}

static void frames(const dmue_engine *engine) {
    static const uint8_t bytes[64 * 64 * 4];
    dmue_frame frame;
    size_t count;
    uint32_t format;

    CHECK_STATUS(dmue_frame_init(&frame, sizeof frame), DMUE_STATUS_OK);
    CHECK_FAILS(dmue_engine_predict(engine, &frame, NULL, 0, &count), DMUE_STATUS_INVALID_ARGUMENT,
                "format 0");
    CHECK_FAILS(dmue_frame_set_buffer(&frame, 99, 8, 8, bytes, sizeof bytes, 0),
                DMUE_STATUS_INVALID_ARGUMENT, "99");
    for (format = DMUE_PIXEL_FORMAT_GRAY8; format <= DMUE_PIXEL_FORMAT_YUYV; format++) {
        CHECK_FAILS(dmue_frame_set_buffer(&frame, format, 64, 64, NULL, sizeof bytes, 0),
                    DMUE_STATUS_NULL_ARGUMENT, "data");
        CHECK_FAILS(dmue_frame_set_buffer(&frame, format, 64, 64, bytes, 64 * 64 - 1, 0),
                    DMUE_STATUS_FRAME, "bytes");
        CHECK_FAILS(dmue_frame_set_buffer(&frame, format, 64, 64, bytes, sizeof bytes, 63),
                    DMUE_STATUS_FRAME, "stride");
        CHECK_FAILS(dmue_frame_set_buffer(&frame, format, 0, 64, bytes, sizeof bytes, 0),
                    DMUE_STATUS_FRAME, "0x64");
        CHECK_FAILS(dmue_frame_set_buffer(&frame, format, 64, UINT32_MAX, bytes, sizeof bytes, 0),
                    DMUE_STATUS_FRAME, "4294967295");
        CHECK_FAILS(dmue_frame_set_buffer(&frame, format, 64, 64, bytes, sizeof bytes, SIZE_MAX),
                    DMUE_STATUS_FRAME, "");
        CHECK_STATUS(dmue_frame_set_buffer(&frame, format, 64, 64, bytes, sizeof bytes, 0),
                     DMUE_STATUS_OK);
        CHECK_STATUS(dmue_engine_predict(engine, &frame, NULL, 0, &count), DMUE_STATUS_OK);
        frame.sizes[0] = 64;
        CHECK_FAILS(dmue_engine_predict(engine, &frame, NULL, 0, &count), DMUE_STATUS_FRAME,
                    "plane 0");
        frame.planes[0] = NULL;
        CHECK_FAILS(dmue_engine_predict(engine, &frame, NULL, 0, &count), DMUE_STATUS_NULL_ARGUMENT,
                    "planes[0]");
    }
    CHECK_STATUS(dmue_frame_set_buffer(&frame, DMUE_PIXEL_FORMAT_I420, 64, 64, bytes, sizeof bytes, 0),
                 DMUE_STATUS_OK);
    frame.planes[2] = NULL;
    CHECK_FAILS(dmue_engine_predict(engine, &frame, NULL, 0, &count), DMUE_STATUS_NULL_ARGUMENT,
                "planes[2]");
    frame.planes[2] = bytes;
    frame.yuv_colour = 9;
    CHECK_FAILS(dmue_engine_predict(engine, &frame, NULL, 0, &count), DMUE_STATUS_INVALID_ARGUMENT,
                "yuv_colour");
}

static void results(const dmue_engine *engine) {
    static const uint8_t bytes[64 * 64];
    float few[1] = {-1};
    dmue_frame crop;
    dmue_face face;
    dmue_known_face known;

    CHECK_STATUS(dmue_frame_init(&crop, sizeof crop), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_frame_set_buffer(&crop, DMUE_PIXEL_FORMAT_GRAY8, 64, 64, bytes, sizeof bytes, 0),
                 DMUE_STATUS_OK);
    CHECK_STATUS(dmue_faces_init(&face, 1, sizeof face), DMUE_STATUS_OK);
    face.probabilities = few;
    face.probability_capacity = 1;
    CHECK_FAILS(dmue_engine_predict_crops(engine, &crop, &face, 1), DMUE_STATUS_BUFFER_TOO_SMALL,
                "probability_capacity is 1");
    CHECK(few[0] == -1);
    face.probabilities = NULL;
    CHECK_STATUS(dmue_engine_predict_crops(engine, &crop, &face, 1), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_engine_predict_crops(engine, &crop, &face, 0), DMUE_STATUS_OK);
    CHECK_FAILS(dmue_engine_predict_crops(engine, &crop, &face, SIZE_MAX),
                DMUE_STATUS_INVALID_ARGUMENT, "entries");

    CHECK_STATUS(dmue_known_face_init(&known, sizeof known), DMUE_STATUS_OK);
    CHECK_FAILS(dmue_engine_predict_faces(engine, &crop, &known, &face, 1),
                DMUE_STATUS_INVALID_ARGUMENT, "kind 0");
    known.kind = DMUE_KNOWN_FACE_KIND_BOX;
    CHECK_FAILS(dmue_engine_predict_faces(engine, &crop, &known, &face, 1), DMUE_STATUS_FACE,
                "face 0");
    known.kind = DMUE_KNOWN_FACE_KIND_LANDMARKS;
    CHECK_FAILS(dmue_engine_predict_faces(engine, &crop, &known, &face, 1), DMUE_STATUS_FACE,
                "eyes");
}

/* The engine's messages arrive inside a call with the session: a second call then is one too many. */
typedef struct {
    dmue_session *session;
    int messages;
    int refused;
} witness;

static void listen(void *user_data, uint32_t level, const char *message) {
    witness *seen = user_data;
    CHECK(level >= DMUE_LOG_LEVEL_WARNING && level <= DMUE_LOG_LEVEL_DEBUG && strlen(message) > 0);
    seen->messages++;
    if (seen->session != NULL && dmue_session_reset(seen->session) == DMUE_STATUS_BUSY) {
        seen->refused++;
    }
}

static void busy(void) {
    static const uint8_t bytes[64 * 64];
    witness seen = {NULL, 0, 0};
    dmue_engine_options options;
    dmue_engine *engine = NULL;
    dmue_frame frame;
    size_t count;

    CHECK_STATUS(dmue_engine_options_init(&options, sizeof options), DMUE_STATUS_OK);
    options.log_callback = listen;
    options.log_user_data = &seen;
    CHECK_STATUS(dmue_engine_open(&options, &engine), DMUE_STATUS_OK);
    CHECK(seen.messages == 1);
    CHECK_STATUS(dmue_session_new(engine, NULL, &seen.session), DMUE_STATUS_OK);
    dmue_engine_free(engine); /* the session keeps what it needs */
    CHECK_STATUS(dmue_frame_init(&frame, sizeof frame), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_frame_set_buffer(&frame, DMUE_PIXEL_FORMAT_GRAY8, 64, 64, bytes, sizeof bytes, 0),
                 DMUE_STATUS_OK);
    CHECK_STATUS(dmue_session_process(seen.session, &frame, 0, NULL, 0, &count), DMUE_STATUS_OK);
    CHECK(seen.refused == 1);
    CHECK_STATUS(dmue_session_reset(seen.session), DMUE_STATUS_OK);
    dmue_session_free(seen.session);
}

static void bad_session_options(const dmue_engine *engine) {
    dmue_session_options options;
    dmue_session *session = NULL;
    CHECK_STATUS(dmue_session_options_init(&options, sizeof options), DMUE_STATUS_OK);
    options.maximum_faces = 0;
    CHECK_FAILS(dmue_session_new(engine, &options, &session), DMUE_STATUS_OPTION, "maximum_faces");
    options.maximum_faces = 1;
    options.tolerated_error = 2;
    CHECK_FAILS(dmue_session_new(engine, &options, &session), DMUE_STATUS_OPTION, "tolerated_error");
    CHECK(session == NULL);
}

int main(int count, char **arguments) {
    dmue_engine_options options;
    dmue_engine *engine = NULL;
    unsigned char *model;
    size_t size;

    CHECK(count == 2 && strcmp(dmue_last_error(), "") == 0);
    model = read_file(arguments[1], &size);
    CHECK_STATUS(dmue_engine_options_init(&options, sizeof options), DMUE_STATUS_OK);
    options.detector_levels = 1;
    CHECK_STATUS(dmue_engine_open_memory(&options, model, size, &engine), DMUE_STATUS_OK);
    free(model);
    null_pointers(engine);
    structures(engine);
    frames(engine);
    results(engine);
    bad_session_options(engine);
    busy();
    dmue_engine_free(engine);
    return 0;
}
