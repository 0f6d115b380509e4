/*
 * Messages of the ssh-agent protocol, as both ends of a forwarded agent pass them on: a length of
 * four bytes and so many bytes.
 *
 * Source: draft-miller-ssh-agent, 3.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

#define AGENT_MESSAGE_MAX (256u << 10)

/** agent_message_len() - bytes of the message at the front of @b, with its length. Return: 0: not
 * all is there; -EMSGSIZE. */
ssize_t agent_message_len(const struct buf *b) MUST;

/* Reads exactly @n bytes. Return: 0, -errno. */
typedef int (*agent_read)(void *ctx, void *p, size_t n);
/** agent_message_read() - a whole message, with its length, appended to @out. Return: 0;
 * -EMSGSIZE; errors of @fn. */
int agent_message_read(agent_read fn, void *ctx, struct buf *out) MUST;
/** agent_read_fd() - an agent_read of a blocking socket; @ctx: points to the descriptor. */
int agent_read_fd(void *ctx, void *p, size_t n) MUST;
