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

#include "dmue_edge.h"
#include "y4m.h"

enum { MOST_FACES = 16 };

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, dmue_last_error());
    return 1;
}

static int follow(const dmue_engine *engine, dmue_session *session, const y4m_video *video,
                  unsigned char *bytes, size_t size) {
    dmue_frame frame;
    dmue_face faces[MOST_FACES];
    size_t count = 0, i;
    double time = 0;

    dmue_faces_init(faces, MOST_FACES, sizeof faces[0]);
    dmue_frame_init(&frame, sizeof frame);
    if (dmue_frame_set_buffer(&frame, DMUE_PIXEL_FORMAT_I420, video->width, video->height, bytes,
                              size, video->width) != DMUE_STATUS_OK) {
        return failed("dmue_frame_set_buffer");
    }
    frame.yuv_colour =
        video->full_range ? DMUE_YUV_COLOUR_BT601_FULL : DMUE_YUV_COLOUR_BT601_LIMITED;
    for (; y4m_read_frame(bytes, size); time += video->frame_seconds) {
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
    y4m_video video;
    unsigned char *bytes;
    size_t size;
    int result;

    if (!y4m_read_header(&video)) {
        fprintf(stderr, "standard input is no Y4M video with 4:2:0 frames of 8 bits a sample\n");
        return 1;
    }
    size = y4m_frame_size(&video);
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
    result = follow(engine, session, &video, bytes, size);
    dmue_session_free(session);
    dmue_engine_free(engine);
    free(bytes);
    return result;
}
