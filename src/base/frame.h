/*
 * The frames of a multiplexed attach or log stream: eight bytes of header (stream, three zeros,
 * length as 32-bit big endian), then that many bytes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FRAME_HEADER 8

enum frame_stream {
    FRAME_STDIN = 0,
    FRAME_STDOUT = 1,
    FRAME_STDERR = 2,
    FRAME_SYSERR = 3, /* an error of the engine itself, as text */
};

/** frame_put() - write the header of a frame of @len payload bytes into @out. */
static inline void frame_put(uint8_t out[FRAME_HEADER], enum frame_stream stream, uint32_t len)
{
    out[0] = (uint8_t)stream;
    out[1] = out[2] = out[3] = 0;
    out[4] = (uint8_t)(len >> 24);
    out[5] = (uint8_t)(len >> 16);
    out[6] = (uint8_t)(len >> 8);
    out[7] = (uint8_t)len;
}

/** frame_get() - read a header; Return: false when it is none (unknown stream, padding not 0). */
static inline bool frame_get(const uint8_t in[FRAME_HEADER], enum frame_stream *stream,
                             uint32_t *len)
{
    if (in[0] > FRAME_SYSERR || in[1] || in[2] || in[3])
        return false;
    *stream = (enum frame_stream)in[0];
    *len = (uint32_t)in[4] << 24 | (uint32_t)in[5] << 16 | (uint32_t)in[6] << 8 | in[7];
    return true;
}
