#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/time.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/units.h"
#include "wire/stats.h"

/*
 * cleat stats. The daemon answers one container at a time and takes a second for it, so every
 * container has a thread with a connection of its own; the main thread draws.
 */

#define REDRAW_MS 500

struct stats_opts {
    bool all, no_stream, no_trunc;
    char *format;
};

struct sample {
    double cpu, mem_percent;
    uint64_t mem, limit, rx, tx, read, write, pids;
    char name[256], id[80];
    bool valid;
};

struct watch {
    struct board *board;
    struct client *client;
    char *container; /* as it was named */
    char *target;
    struct sample last;
    struct err err;
    bool ended;
    pthread_t thread;
    struct watch *next;
};

struct board {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct watch *first;
    size_t waiting; /* containers without a sample yet */
    bool once;
};

/* ---- numbers ---- */

static double cpu_percent(const struct container_stats *s)
{
    double used = (double)s->cpu.usage.total_ns - (double)s->precpu.usage.total_ns;
    double all = (double)s->cpu.system_ns - (double)s->precpu.system_ns;
    double cpus = s->cpu.online_cpus ? s->cpu.online_cpus : (double)s->cpu.usage.percpu_ns.n;

    return used > 0 && all > 0 ? used / all * cpus * 100 : 0;
}

/* The page cache that can go at any moment does not count. */
static uint64_t memory(const struct memory_stats *m)
{
    uint64_t cache = 0;

    if (u64map_get(&m->stats, "total_inactive_file", &cache) < 0)
        (void)!u64map_get(&m->stats, "inactive_file", &cache);
    return cache < m->usage_b ? m->usage_b - cache : m->usage_b;
}

static void sum_io(const struct container_stats *s, struct sample *out)
{
    for (size_t i = 0; i < s->blkio.service_bytes.n; i++) {
        const struct blkio_entry *e = s->blkio.service_bytes.v[i];
        char op = e->op ? (char)(*e->op | 0x20) : 0;
        if (op == 'r')
            out->read += e->value;
        else if (op == 'w')
            out->write += e->value;
    }
    for (size_t i = 0; i < s->networks.n; i++) {
        out->rx += s->networks.v[i].val->rx_bytes;
        out->tx += s->networks.v[i].val->tx_bytes;
    }
}

static struct sample sample_of(const struct container_stats *s)
{
    struct sample out = {.cpu = cpu_percent(s),
                         .mem = memory(&s->memory),
                         .limit = s->memory.limit_b,
                         .pids = s->pids.current,
                         .valid = true};

    if (out.limit > 0)
        out.mem_percent = (double)out.mem / (double)out.limit * 100;
    sum_io(s, &out);
    const char *name = s->name ? s->name : "";
    (void)snprintf(out.name, sizeof(out.name), "%s", name + (*name == '/'));
    (void)snprintf(out.id, sizeof(out.id), "%s", s->id ? s->id : "");
    return out;
}

/* ---- one thread per container ---- */

static void publish(struct watch *w, const struct sample *s, bool ended)
{
    struct board *b = w->board;

    pthread_mutex_lock(&b->lock);
    if (!w->last.valid && !w->ended && (s || ended))
        b->waiting--;
    if (s)
        w->last = *s;
    w->ended |= ended;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static int follow(struct watch *w, struct err *err)
{
    struct json_stream in = {0};
    struct http_call call = {.method = "GET", .target = w->target};
    const char *text;
    size_t len;
    int r = client_open(w->client, &call, &in.reply, err);

    if (r < 0)
        return r;
    while ((r = json_stream_next(&in, &text, &len, err)) > 0) {
        auto_arena struct arena a = ARENA_INIT;
        struct container_stats s = {0};
        if ((r = json_decode(&container_stats_type, text, len, &a, &s, 0, err)) < 0)
            break;
        struct sample out = sample_of(&s);
        publish(w, &out, false);
    }
    json_stream_done(&in);
    return r;
}

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    struct err e = {0};

    if (follow(w, &e) < 0) {
        pthread_mutex_lock(&w->board->lock);
        w->err = e;
        pthread_mutex_unlock(&w->board->lock);
    }
    publish(w, NULL, true);
    return NULL;
}

static int watch_start(struct cli *cli, struct board *b, const char *container, struct err *err)
{
    struct watch *w = arena_new(&cli->arena, struct watch), **tail = &b->first;
    char *t = cli_target(cli, "/containers/%s/stats", container, NULL);
    int r = cli_client_new(cli, &w->client, err);

    if (r < 0)
        return r;
    w->board = b;
    w->container = arena_strdup(&cli->arena, container);
    w->target = cli_query(cli, t, "stream", b->once ? "false" : "true");
    while (*tail)
        tail = &(*tail)->next;
    *tail = w;
    b->waiting++;
    r = pthread_create(&w->thread, NULL, watch_main, w);
    return r ? err_no(err, r, "start a thread") : 0;
}

/* ---- drawing ---- */

static const struct heading headings[] = {
    {"Container", "CONTAINER"},
    {"Name", "NAME"},
    {"ID", "CONTAINER ID"},
    {"CPUPerc", "CPU %"},
    {"MemUsage", "MEM USAGE / LIMIT"},
    {"MemPerc", "MEM %"},
    {"NetIO", "NET I/O"},
    {"BlockIO", "BLOCK I/O"},
    {"PIDs", "PIDS"},
    {NULL, "*container.statsContext"},
};

#define TABLE                                                                                      \
    "table "                                                                                       \
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{." \
    "PIDs}}"

static void put_pair(struct list *l, const char *name, uint64_t a, uint64_t b, bool binary)
{
    char x[UNITS_TEXT], y[UNITS_TEXT];

    if (binary)
        list_cellf(l, name, "%s / %s", units_bytes((double)a, x), units_bytes((double)b, y));
    else
        list_cellf(l, name, "%s / %s", units_size((double)a, 3, x), units_size((double)b, 3, y));
}

static int put_row(struct list *l, const struct watch *w, bool whole, struct err *err)
{
    static const char *const unknown[] = {"Name",  "CPUPerc", "MemUsage", "MemPerc",
                                          "NetIO", "BlockIO", "PIDs"};
    const struct sample *s = &w->last;

    list_row(l);
    list_cell(l, "Container", w->container);
    list_cell(l, "ID", s->valid ? cell_short_id(l->a, s->id, whole) : w->container);
    if (!s->valid) {
        for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
            list_cell(l, unknown[i], "--");
        return list_row_end(l, NULL, err);
    }
    list_cell(l, "Name", s->name);
    list_cellf(l, "CPUPerc", "%.2f%%", s->cpu);
    put_pair(l, "MemUsage", s->mem, s->limit, true);
    list_cellf(l, "MemPerc", "%.2f%%", s->mem_percent);
    put_pair(l, "NetIO", s->rx, s->tx, false);
    put_pair(l, "BlockIO", s->read, s->write, false);
    list_cellf(l, "PIDs", "%llu", (unsigned long long)s->pids);
    return list_row_end(l, NULL, err);
}

static int draw(struct board *b, const struct stats_opts *o, const char *format, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    auto_list struct list l = {0};
    int r = list_begin(&l, &a, format, TABLE, headings, err);

    pthread_mutex_lock(&b->lock);
    for (const struct watch *w = b->first; w && r >= 0; w = w->next)
        if (!w->ended || b->once)
            r = w->err.no ? 0 : put_row(&l, w, o->no_trunc, err);
    pthread_mutex_unlock(&b->lock);
    if (r < 0)
        return r;
    list_text(&l, &text);
    if (!b->once)
        printf("\033[H");
    for (const char *p = buf_str(&text); *p;) {
        size_t n = strcspn(p, "\n");
        printf("%.*s%s\n", (int)n, p, b->once ? "" : "\033[K");
        p += n + (p[n] == '\n');
    }
    if (!b->once)
        printf("\033[J");
    (void)fflush(stdout);
    return ferror(stdout) ? err_no(err, EPIPE, "write") : 0;
}

static void board_wait(struct board *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->waiting > 0)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

static bool board_alive(struct board *b)
{
    bool alive = false;

    pthread_mutex_lock(&b->lock);
    for (const struct watch *w = b->first; w; w = w->next)
        alive |= !w->ended;
    pthread_mutex_unlock(&b->lock);
    return alive;
}

/* Waits for the ends of all threads. */
static void board_join(struct board *b)
{
    for (struct watch *w = b->first; w; w = w->next) {
        (void)pthread_join(w->thread, NULL);
        client_free(w->client);
    }
}

/* ---- which containers ---- */

static bool board_has(const struct board *b, const char *id)
{
    for (const struct watch *w = b->first; w; w = w->next)
        if (str_eq(w->container, id) && !w->ended)
            return true;
    return false;
}

/* Containers that came since the last look. */
static int find_new(struct cli *cli, struct board *b, bool all, struct err *err)
{
    struct objv v = {0};
    char *t = cli_target(cli, "/containers/json", NULL, NULL);
    int r = call_list(cli, cli_query(cli, t, "all", all ? "1" : NULL), &container_summary_type, &v,
                      err);

    for (size_t i = 0; r == 0 && i < v.n; i++) {
        const struct container_summary *c = v.v[i];
        if (!board_has(b, c->id))
            r = watch_start(cli, b, c->id, err);
    }
    return r;
}

static int print_errors(struct board *b)
{
    int status = 0;

    pthread_mutex_lock(&b->lock);
    for (const struct watch *w = b->first; w; w = w->next) {
        if (w->err.no == 0)
            continue;
        fprintf(stderr, "%s\n", w->err.msg);
        status = 1;
    }
    pthread_mutex_unlock(&b->lock);
    return status;
}

static int redraw(struct cli *cli, struct board *b, const struct stats_opts *o, const char *format,
                  bool dynamic, struct err *err)
{
    int r = 0;

    printf("\033[2J");
    while (r == 0 && (dynamic || board_alive(b))) {
        r = draw(b, o, format, err);
        (void)poll(NULL, 0, REDRAW_MS); /* the rate of the screen, nothing waits for it */
        if (r == 0 && dynamic)
            r = find_new(cli, b, o->all, err);
    }
    return r;
}

static int run(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct stats_opts *o = opts;
    struct board *b = arena_new(&cli->arena, struct board);
    const char *format = str_empty(o->format) ? config_str(cli, "statsFormat") : o->format;
    int r = need_client(cli, err);

    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->once = o->no_stream;
    for (size_t i = 0; r == 0 && i < args->n; i++)
        r = watch_start(cli, b, args->v[i], err);
    if (r == 0 && args->n == 0)
        r = find_new(cli, b, o->all, err);
    if (r < 0)
        return r;
    board_wait(b);
    if (b->once) {
        board_join(b);
        r = draw(b, o, format, err);
        return r < 0 ? r : print_errors(b);
    }
    bool failed = args->n > 0 && print_errors(b) != 0;
    if (!failed)
        r = redraw(cli, b, o, format, args->n == 0, err);
    if (!board_alive(b)) /* else they end with us */
        board_join(b);
    return failed ? 1 : r;
}

static const struct opt opts[] = {
    OPT(struct stats_opts, "all", 'a', O_BOOL, all, "Show all containers, not only running ones"),
    OPT(struct stats_opts, "format", 0, O_STR, format, FORMAT_HELP),
    OPT(struct stats_opts, "no-stream", 0, O_BOOL, no_stream, "Show the first result and leave"),
    OPT(struct stats_opts, "no-trunc", 0, O_BOOL, no_trunc, "Do not shorten the output"),
};

const struct command cmd_stats = {
    .paths = (const char *const[]){"container stats", "stats", NULL},
    .usage = "[OPTIONS] [CONTAINER...]",
    .help = "Show what containers use of the machine, as it changes",
    OPTS(opts),
    .opts_size = sizeof(struct stats_opts),
    .args = {0, -1},
    .run = run,
};
