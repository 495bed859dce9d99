/* Answers one question a line from standard input:
 *   QUESTION FORMAT WIDTH HEIGHT STRIDE FILE NUMBER...
 * QUESTION is predict, crop, box (4 numbers) or landmarks (8: right eye, left eye, nose, mouth). Each
 * line of output is a number of faces, then for each its class, score, alpha, box and probabilities. */
#include "check.h"

enum { CAPACITY = 8, CLASSES = 64 };

typedef struct {
    char kind[16], path[512];
    uint32_t format, width, height;
    size_t stride;
    float numbers[8];
} question;

/* 1 if there was a line. */
static int next(question *asked) {
    int i;
    if (scanf("%15s %u %u %u %zu %511s", asked->kind, &asked->format, &asked->width, &asked->height,
              &asked->stride, asked->path) != 6) {
        return 0;
    }
    for (i = 0; i < 8; i++) {
        CHECK(scanf("%f", &asked->numbers[i]) == 1);
    }
    return 1;
}

static dmue_known_face known_face(const question *asked) {
    const float *n = asked->numbers;
    dmue_known_face known;
    CHECK_STATUS(dmue_known_face_init(&known, sizeof known), DMUE_STATUS_OK);
    if (strcmp(asked->kind, "box") == 0) {
        dmue_box box = {n[0], n[1], n[2], n[3]};
        known.kind = DMUE_KNOWN_FACE_KIND_BOX;
        known.bounding_box = box;
    } else {
        dmue_landmarks landmarks = {{n[0], n[1]}, {n[2], n[3]}, {n[4], n[5]},
                                    {n[6], n[7]}, {0, 0},       {0, 0}};
        CHECK(strcmp(asked->kind, "landmarks") == 0);
        known.kind = DMUE_KNOWN_FACE_KIND_LANDMARKS;
        known.landmarks = landmarks;
    }
    return known;
}

static size_t answer(const dmue_engine *engine, const question *asked, const dmue_frame *frame,
                     dmue_face *faces) {
    size_t count = 1;
    if (strcmp(asked->kind, "predict") == 0) {
        CHECK_STATUS(dmue_engine_predict(engine, frame, faces, CAPACITY, &count), DMUE_STATUS_OK);
    } else if (strcmp(asked->kind, "crop") == 0) {
        CHECK_STATUS(dmue_engine_predict_crops(engine, frame, faces, 1), DMUE_STATUS_OK);
    } else {
        dmue_known_face known = known_face(asked);
        CHECK_STATUS(dmue_engine_predict_faces(engine, frame, &known, faces, 1), DMUE_STATUS_OK);
    }
    return count;
}

static void print(const dmue_engine *engine, const dmue_face *faces, size_t count) {
    size_t i, class_index;
    printf("%zu", count);
    for (i = 0; i < count; i++) {
        const dmue_box *box = &faces[i].bounding_box;
        printf(" %u %.9g %.9g %.9g %.9g %.9g %.9g", faces[i].class_index, faces[i].score,
               faces[i].alpha, box->x, box->y, box->width, box->height);
        for (class_index = 0; class_index < dmue_engine_class_count(engine); class_index++) {
            printf(" %.9g", faces[i].probabilities[class_index]);
        }
    }
    printf("\n");
}

int main(int count, char **arguments) {
    static float probabilities[CAPACITY][CLASSES];
    dmue_engine_options options;
    dmue_engine *engine = NULL;
    dmue_face faces[CAPACITY];
    question asked;
    size_t i;

    CHECK(count == 2);
    CHECK_STATUS(dmue_engine_options_init(&options, sizeof options), DMUE_STATUS_OK);
    options.detector_levels = (uint32_t)atoi(arguments[1]);
    CHECK_STATUS(dmue_engine_open(&options, &engine), DMUE_STATUS_OK);
    CHECK_STATUS(dmue_faces_init(faces, CAPACITY, sizeof faces[0]), DMUE_STATUS_OK);
    for (i = 0; i < CAPACITY; i++) {
        faces[i].probabilities = probabilities[i];
        faces[i].probability_capacity = CLASSES;
    }
    while (next(&asked)) {
        size_t size;
        unsigned char *bytes = read_file(asked.path, &size);
        dmue_frame frame;
        CHECK_STATUS(dmue_frame_init(&frame, sizeof frame), DMUE_STATUS_OK);
        CHECK_STATUS(dmue_frame_set_buffer(&frame, asked.format, asked.width, asked.height, bytes,
                                           size, asked.stride),
                     DMUE_STATUS_OK);
        print(engine, faces, answer(engine, &asked, &frame, faces));
        free(bytes);
    }
    dmue_engine_free(engine);
    return 0;
}
