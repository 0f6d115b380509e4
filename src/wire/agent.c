#include "wire/agent.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/io.h"

/* Length of the body that the four bytes announce. */
static ssize_t body_len(const void *p)
{
    uint32_t len;

    memcpy(&len, p, sizeof(len));
    len = ntohl(len);
    return len == 0 || len > AGENT_MESSAGE_MAX ? -EMSGSIZE : (ssize_t)len;
}

ssize_t agent_message_len(const struct buf *b)
{
    ssize_t len = b->len < sizeof(uint32_t) ? 0 : body_len(b->data);

    if (len <= 0)
        return len;
    len += (ssize_t)sizeof(uint32_t);
    return b->len < (size_t)len ? 0 : len;
}

int agent_message_read(agent_read fn, void *ctx, struct buf *out)
{
    char head[sizeof(uint32_t)];
    int r = fn(ctx, head, sizeof(head));

    if (r < 0)
        return r;
    ssize_t len = body_len(head);
    if (len < 0)
        return (int)len;
    buf_put(out, head, sizeof(head));
    r = fn(ctx, buf_room(out, (size_t)len), (size_t)len);
    if (r >= 0)
        buf_commit(out, (size_t)len);
    return r;
}

int agent_read_fd(void *ctx, void *p, size_t n)
{
    const int *fd = ctx;

    return read_full(*fd, p, n);
}
