/* Follows the faces of a video: one line a frame and face. Frames come from standard input as Y4M.
 *
 *   cargo build --release --package dmue-edge-c
 *   cc -std=c99 -I include examples/c/stream.c target/release/libdmue_edge.so -o stream
 *   ln -s libdmue_edge.so target/release/libdmue_edge.so.1
 *   ffmpeg -loglevel error -i video.mp4 -pix_fmt yuv420p -f yuv4mpegpipe - |
 *       LD_LIBRARY_PATH=target/release ./stream
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dmue_edge.h"

enum { MOST_FACES = 16 };

typedef struct {
    unsigned width, height;
    double frame_seconds;
} video;

/* YUV4MPEG2 W640 H480 F30:1 C420jpeg ...; 0 if it is something else. */
static int read_header(video *stream) {
    char line[256], *word;
    double frames, seconds;
    if (fgets(line, sizeof line, stdin) == NULL || strncmp(line, "YUV4MPEG2 ", 10) != 0) {
        return 0;
    }
    stream->width = stream->height = 0;
    stream->frame_seconds = 0.04;
    for (word = strtok(line + 10, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        if (word[0] == 'W') {
            stream->width = (unsigned)strtoul(word + 1, NULL, 10);
        } else if (word[0] == 'H') {
            stream->height = (unsigned)strtoul(word + 1, NULL, 10);
        } else if (word[0] == 'F' && sscanf(word + 1, "%lf:%lf", &frames, &seconds) == 2 &&
                   frames > 0) {
            stream->frame_seconds = seconds / frames;
        } else if (word[0] == 'C' && strcmp(word, "C420") != 0 && strcmp(word, "C420jpeg") != 0 &&
                   strcmp(word, "C420mpeg2") != 0 && strcmp(word, "C420paldv") != 0) {
            return 0;
        }
    }
    return stream->width > 0 && stream->width <= 8192 && stream->height > 0 &&
           stream->height <= 8192;
}

/* 0 at the end of the stream. */
static int read_frame(unsigned char *bytes, size_t size) {
    char line[256];
    return fgets(line, sizeof line, stdin) != NULL && strncmp(line, "FRAME", 5) == 0 &&
           fread(bytes, 1, size, stdin) == size;
}

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, dmue_last_error());
    return 1;
}

static int follow(const dmue_engine *engine, dmue_session *session, const video *stream,
                  unsigned char *bytes, size_t size) {
    dmue_frame frame;
    dmue_face faces[MOST_FACES];
    size_t count = 0, i;
    double time = 0;

    dmue_faces_init(faces, MOST_FACES, sizeof faces[0]);
    dmue_frame_init(&frame, sizeof frame);
    if (dmue_frame_set_buffer(&frame, DMUE_PIXEL_FORMAT_I420, stream->width, stream->height, bytes,
                              size, stream->width) != DMUE_STATUS_OK) {
        return failed("dmue_frame_set_buffer");
    }
    for (; read_frame(bytes, size); time += stream->frame_seconds) {
        if (dmue_session_process(session, &frame, (uint64_t)(time * 1e6), faces, MOST_FACES,
                                 &count) != DMUE_STATUS_OK) {
            return failed("dmue_session_process");
        }
        for (i = 0; i < count; i++) {
            const char *label = faces[i].steadied_unsure
                                    ? "unsure"
                                    : dmue_engine_class_name(engine, faces[i].steadied_class_index);
            printf("%.3f s: face %llu: %s, score %.2f\n", time,
                   (unsigned long long)faces[i].track_id, label, faces[i].steadied_score);
        }
    }
    return 0;
}

int main(void) {
    dmue_engine *engine = NULL;   /* one for all streams */
    dmue_session *session = NULL; /* one for each stream */
    video stream;
    unsigned char *bytes;
    size_t size;
    int result;

    if (!read_header(&stream)) {
        fprintf(stderr, "standard input is no Y4M video with 4:2:0 frames of 8 bits a sample\n");
        return 1;
    }
    size = (size_t)stream.width * stream.height +
           (size_t)((stream.width + 1) / 2) * ((stream.height + 1) / 2) * 2;
    bytes = malloc(size);
    if (bytes == NULL) {
        fprintf(stderr, "no memory for a frame of %lu bytes\n", (unsigned long)size);
        return 1;
    }
    if (dmue_engine_open(NULL, &engine) != DMUE_STATUS_OK) {
        return failed("dmue_engine_open");
    }
    if (dmue_session_new(engine, NULL, &session) != DMUE_STATUS_OK) {
        return failed("dmue_session_new");
    }
    result = follow(engine, session, &stream, bytes, size);
    dmue_session_free(session);
    dmue_engine_free(engine);
    free(bytes);
    return result;
}
