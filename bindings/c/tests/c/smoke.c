/* smoke RGB_FILE WIDTH HEIGHT: one portrait through every door of the C interface. */
#include "check.h"

static dmue_frame portrait(const unsigned char *pixels, size_t size, char **arguments) {
    dmue_frame frame;
    uint32_t width = (uint32_t)atoi(arguments[2]), height = (uint32_t)atoi(arguments[3]);
    CHECK_STATUS(dmue_frame_init(&frame, sizeof frame), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_frame_set_buffer(&frame, DMUE_PIXEL_FORMAT_RGB24, width, height, pixels, size, 0),
                 DMUE_STATUS_OK);
    return frame;
}

static void predicts(const dmue_engine *engine, const dmue_frame *frame) {
    enum { CAPACITY = 4 };
    dmue_face faces[CAPACITY], again;
    float probabilities[64], feature[1024], sum = 0;
    size_t count = 0, i, classes = dmue_engine_class_count(engine);
    dmue_known_face known;

    CHECK(classes > 1 && classes <= 64 && dmue_engine_feature_size(engine) <= 1024);
    CHECK_STATUS(dmue_faces_init(faces, CAPACITY, sizeof faces[0]), DMUE_STATUS_OK);
    faces[0].probabilities = probabilities;
    faces[0].probability_capacity = 64;
    faces[0].feature = feature;
    faces[0].feature_capacity = 1024;
    CHECK_STATUS(dmue_engine_predict(engine, frame, faces, CAPACITY, &count), DMUE_STATUS_OK);
    CHECK(count == 1);
    CHECK(strcmp(dmue_engine_class_name(engine, faces[0].class_index), "happiness") == 0);
    CHECK(faces[0].score > 0 && faces[0].score <= 1 && faces[0].detection_score > 0.5f);
    CHECK(faces[0].track_id == 0 && faces[0].unsure == 0);
    for (i = 0; i < classes; i++) {
        CHECK(probabilities[i] <= probabilities[faces[0].class_index]);
        sum += probabilities[i];
    }
    CHECK(sum > 0.999f && sum < 1.001f);

    /* The landmarks that were found, handed back, give the same answer. */
    CHECK_STATUS(dmue_known_face_init(&known, sizeof known), DMUE_STATUS_OK);
    known.kind = DMUE_KNOWN_FACE_KIND_LANDMARKS;
    known.landmarks = faces[0].landmarks;
    CHECK_STATUS(dmue_faces_init(&again, 1, sizeof again), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_engine_predict_faces(engine, frame, &known, &again, 1), DMUE_STATUS_OK);
    CHECK(again.class_index == faces[0].class_index && again.score == faces[0].score);
    CHECK(memcmp(&again.landmarks, &known.landmarks, sizeof known.landmarks) == 0);
}

static void follows(const dmue_engine *engine, const dmue_frame *frame) {
    dmue_session_options options;
    dmue_session *session = NULL;
    dmue_timings timings;
    dmue_face face;
    size_t count = 0;
    uint64_t i, first = 0;

    CHECK_STATUS(dmue_session_options_init(&options, sizeof options), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_session_new(engine, &options, &session), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_faces_init(&face, 1, sizeof face), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_timings_init(&timings, sizeof timings), DMUE_STATUS_OK);
    for (i = 0; i < 3; i++) {
        CHECK_STATUS(dmue_session_process(session, frame, i * 66000, &face, 1, &count),
                     DMUE_STATUS_OK);
        CHECK(count == 1 && face.track_id != 0 && face.age_us == i * 66000);
        CHECK(i == 0 || face.track_id == first);
        first = face.track_id;
        CHECK_STATUS(dmue_session_timings(session, &timings), DMUE_STATUS_OK);
        CHECK(timings.classify_ms > 0 && timings.searched == (i == 0));
    }
    CHECK(strcmp(dmue_engine_class_name(engine, face.steadied_class_index), "happiness") == 0);
    CHECK_STATUS(dmue_session_process(session, frame, 1, &face, 1, &count), DMUE_STATUS_TIMESTAMP);
    CHECK(count == 0);
    CHECK_STATUS(dmue_session_reset(session), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_session_process(session, frame, 1, &face, 1, &count), DMUE_STATUS_OK);
    CHECK(count == 1 && face.track_id > first);
    dmue_session_free(session);
}

int main(int count, char **arguments) {
    dmue_engine *engine = NULL;
    unsigned char *pixels;
    size_t size;
    dmue_frame frame;

    CHECK(count == 4);
    pixels = read_file(arguments[1], &size);
    frame = portrait(pixels, size, arguments);
    CHECK_STATUS(dmue_engine_open(NULL, &engine), DMUE_STATUS_OK);
    predicts(engine, &frame);
    follows(engine, &frame);
    dmue_engine_free(engine);
    free(pixels);
    return 0;
}
