#include "cli/call.h"

#include <errno.h>

#include "base/auto.h"

int need_client(struct cli *cli, struct err *err)
{
    struct client *c;

    return cli_client(cli, &c, err);
}

int call_post(struct cli *cli, const char *target, const struct json_type *in_type, const void *in,
              const struct json_type *out_type, void *out, struct err *err)
{
    return client_call(cli->client, "POST", target, in_type, in, out_type, out, &cli->arena, err);
}

int call_do(struct cli *cli, const char *method, const char *target, struct err *err)
{
    return client_call(cli->client, method, target, NULL, NULL, NULL, NULL, &cli->arena, err);
}

int call_get(struct cli *cli, const char *target, const struct json_type *type, void *out,
             struct err *err)
{
    return client_call(cli->client, "GET", target, NULL, NULL, type, out, &cli->arena, err);
}

int call_text(struct cli *cli, const char *target, struct buf *out, struct err *err)
{
    return client_text(cli->client, "GET", target, NULL, NULL, out, err);
}

/* The codec decodes objects; an array is made the only member of one. */
int call_list(struct cli *cli, const char *target, const struct json_type *elem, struct objv *ret,
              struct err *err)
{
    const struct field list[] = {{.name = "list", .kind = F_OBJV, .type = elem}};
    const struct json_type type = {
        .name = "list", .size = sizeof(struct objv), .fields = list, .nfields = 1};
    auto_buf struct buf text = BUF_INIT;
    struct objv out = {0};

    buf_puts(&text, "{\"list\":");
    int r = call_text(cli, target, &text, err);
    if (r < 0)
        return r;
    buf_putc(&text, '}');
    r = json_decode(&type, text.data, text.len, &cli->arena, &out, 0, err);
    if (r < 0)
        return err_wrap(err, r, "answer of the daemon");
    *ret = out;
    return 0;
}
