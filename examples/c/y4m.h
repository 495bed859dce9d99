/* Y4M (YUV4MPEG2) video from standard input: a line about the video, then a line and the raw I420 planes
 * for each frame. */
#ifndef EXAMPLES_Y4M_H
#define EXAMPLES_Y4M_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    unsigned width, height;
    double frame_seconds;
    int full_range; /* all values 0 to 255, as in JPEG */
} y4m_video;

/* YUV4MPEG2 W640 H480 F30:1 C420jpeg ...; 0 if it is something else. */
static int y4m_read_header(y4m_video *video) {
    char line[256], *word;
    double frames, seconds;
    if (fgets(line, sizeof line, stdin) == NULL || strncmp(line, "YUV4MPEG2 ", 10) != 0) {
        return 0;
    }
    video->width = video->height = 0;
    video->frame_seconds = 0.04;
    video->full_range = 0;
    for (word = strtok(line + 10, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        if (word[0] == 'W') {
            video->width = (unsigned)strtoul(word + 1, NULL, 10);
        } else if (word[0] == 'H') {
            video->height = (unsigned)strtoul(word + 1, NULL, 10);
        } else if (word[0] == 'F' && sscanf(word + 1, "%lf:%lf", &frames, &seconds) == 2 &&
                   frames > 0 && seconds >= 0 && seconds / frames <= 3600) {
            video->frame_seconds = seconds / frames;
        } else if (word[0] == 'C' && strcmp(word, "C420") != 0 && strcmp(word, "C420jpeg") != 0 &&
                   strcmp(word, "C420mpeg2") != 0 && strcmp(word, "C420paldv") != 0) {
            return 0;
        } else if (strcmp(word, "XCOLORRANGE=FULL") == 0) {
            video->full_range = 1;
        }
    }
    return video->width > 0 && video->width <= 8192 && video->height > 0 && video->height <= 8192;
}

/* Bytes of a frame. */
static size_t y4m_frame_size(const y4m_video *video) {
    size_t colour = (size_t)((video->width + 1) / 2) * ((video->height + 1) / 2);
    return (size_t)video->width * video->height + colour * 2;
}

/* 0 at the end of the stream. */
static int y4m_read_frame(unsigned char *bytes, size_t size) {
    char line[256];
    return fgets(line, sizeof line, stdin) != NULL && strncmp(line, "FRAME", 5) == 0 &&
           fread(bytes, 1, size, stdin) == size;
}

#endif /* EXAMPLES_Y4M_H */
