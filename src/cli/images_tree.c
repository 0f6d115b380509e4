#include "cli/images_tree.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/list.h"
#include "wire/image.h"

#define GAP 3
#define FIRST_MIN 12 /* a narrower first column is not worth what stands beside it */
#define WIDTH_USUAL 80
#define WIDTH_MIN 20

/* What docker's own colours are, byte for byte. */
#define PLAIN "\033[39m"
#define BOLD "\033[39m\033[1m"
#define NAME "\033[34m\033[1m"
#define DIM "\033[39m\033[2m"
#define WARNING "\033[93m"
#define CHIP "\033[38;5;0m\033[48;5;14m"
#define INFO "\033[1m\033[106m\033[30mi\033[0m\033[0m \033[96mInfo \xe2\x86\x92 \033[0m\033[0m "
#define OFF "\033[0m"

#define BRANCH "\xe2\x94\x9c\xe2\x94\x80 "
#define LAST "\xe2\x94\x94\xe2\x94\x80 "
#define BRANCH_WIDTH 3
#define ELLIPSIS "\xe2\x80\xa6"

enum { FIRST, ID, DISK, CONTENT, EXTRA, COLUMNS };

static const struct {
    const char *title;
    size_t width;
    bool right;
} columns[COLUMNS] = {
    [FIRST] = {"IMAGE", 0, false},     [ID] = {"ID", 12, false},
    [DISK] = {"DISK USAGE", 10, true}, [CONTENT] = {"CONTENT SIZE", 12, true},
    [EXTRA] = {"EXTRA", 5, false},
};

struct tree {
    struct arena *a;
    bool tty;
    size_t width; /* of the screen */
    size_t first; /* of the first column */
    size_t shown; /* columns that there is room for */
    bool loose;   /* blank lines between images */
};

/* ---- one line ---- */

static void put_styled(const struct tree *t, const char *style, const char *text)
{
    if (t->tty)
        printf("%s%s" OFF, style, text);
    else
        (void)fputs(text, stdout);
}

static void put_blanks(size_t n)
{
    printf("%*s", (int)n, "");
}

/* One sign takes one place: names and platforms are ASCII here, ELLIPSIS and BRANCH are known. */
static char *cut(const struct tree *t, const char *text, size_t width)
{
    return strlen(text) <= width
               ? arena_strdup(t->a, text)
               : arena_printf(t->a, "%.*s" ELLIPSIS, (int)(width ? width - 1 : 0), text);
}

static void put_first(const struct tree *t, const char *style, const char *branch, const char *text)
{
    size_t before = *branch ? BRANCH_WIDTH : 0;
    size_t room = t->first - before, len = strlen(text);

    put_styled(t, style, arena_printf(t->a, "%s%s", branch, cut(t, text, room)));
    put_blanks(len < room ? room - len : 0);
}

static void put_cell(const struct tree *t, size_t column, const char *style, const char *text)
{
    size_t pad = columns[column].width - strlen(text);

    put_blanks(GAP + (columns[column].right ? pad : 0));
    put_styled(t, style, text);
    put_blanks(columns[column].right ? 0 : pad);
}

static void put_use(const struct tree *t, bool in_use)
{
    put_blanks(GAP);
    if (in_use && t->tty)
        put_styled(t, CHIP, " U ");
    else
        (void)fputs(in_use ? "U" : "", stdout);
    put_blanks(columns[EXTRA].width - (!in_use ? 0 : t->tty ? 3 : 1));
}

static void put_values(const struct tree *t, const char *style, const char *id, int64_t disk_b,
                       int64_t content_b, bool in_use)
{
    const char *values[] = {[ID] = cell_short_id(t->a, id, false),
                            [DISK] = cell_size(t->a, (double)disk_b),
                            [CONTENT] = cell_size(t->a, (double)content_b)};

    for (size_t i = ID; i < EXTRA && i < t->shown; i++)
        put_cell(t, i, style, values[i]);
    if (t->shown > EXTRA)
        put_use(t, in_use);
    (void)putchar('\n');
}

/* ---- images ---- */

static char *platform_text(struct arena *a, const struct oci_platform *p)
{
    bool variant = p && !str_empty(p->variant);

    if (!p)
        return arena_strdup(a, "unknown");
    return cell_printable(a, arena_printf(a, "%s/%s%s%s", str_or(p->os, "unknown"),
                                          str_or(p->architecture, "unknown"), variant ? "/" : "",
                                          variant ? p->variant : ""));
}

static bool is_image(const struct manifest_summary *m)
{
    return str_eq(m->kind, "image") && m->image;
}

static bool any_use(const struct image_summary *i)
{
    bool use = i->containers > 0;

    for (size_t k = 0; k < i->manifests.n; k++)
        use |= is_image(i->manifests.v[k]) && i->manifests.v[k]->image->containers.n > 0;
    return use;
}

static bool is_shown(const struct image_summary *i, bool all)
{
    return all || i->repo_tags.n > 0;
}

static void put_platforms(const struct tree *t, const struct image_summary *i)
{
    const struct manifest_summary *last = NULL;

    for (size_t k = 0; k < i->manifests.n; k++)
        if (is_image(i->manifests.v[k]))
            last = i->manifests.v[k];
    for (size_t k = 0; k < i->manifests.n; k++) {
        const struct manifest_summary *m = i->manifests.v[k];
        if (!is_image(m))
            continue;
        const char *style = m->available ? PLAIN : DIM;
        put_first(t, style, m == last ? LAST : BRANCH, platform_text(t->a, m->image->platform));
        put_values(t, style, m->id, m->size.total_b, m->size.content_b, m->image->containers.n > 0);
    }
}

static void put_image(const struct tree *t, const struct image_summary *i)
{
    int64_t content = 0;

    for (size_t k = 0; k < i->manifests.n; k++)
        content += is_image(i->manifests.v[k]) ? i->manifests.v[k]->size.content_b : 0;
    for (size_t k = 0; k + 1 < i->repo_tags.n; k++) {
        put_styled(t, NAME, cut(t, i->repo_tags.v[k], t->width));
        (void)putchar('\n');
    }
    if (i->repo_tags.n > 0)
        put_first(t, NAME, "", i->repo_tags.v[i->repo_tags.n - 1]);
    else
        put_first(t, DIM, "", "<untagged>");
    put_values(t, PLAIN, i->id, i->size_b, content, any_use(i));
    put_platforms(t, i);
    if (t->loose)
        (void)putchar('\n');
}

/* ---- the whole ---- */

static size_t widest_first(struct tree *t, const struct objv *images, bool all)
{
    size_t most = strlen(columns[FIRST].title);

    for (size_t i = 0; i < images->n; i++) {
        const struct image_summary *s = images->v[i];
        size_t n = s->repo_tags.n ? 0 : strlen("<untagged>");
        if (!is_shown(s, all))
            continue;
        for (size_t k = 0; k < s->repo_tags.n; k++)
            n = strlen(s->repo_tags.v[k]) > n ? strlen(s->repo_tags.v[k]) : n;
        for (size_t k = 0; k < s->manifests.n; k++) {
            if (!is_image(s->manifests.v[k]))
                continue;
            size_t m =
                BRANCH_WIDTH + strlen(platform_text(t->a, s->manifests.v[k]->image->platform));
            n = m > n ? m : n;
            t->loose = true;
        }
        most = n > most ? n : most;
    }
    return most;
}

static void lay_out(struct tree *t, const struct objv *images, bool all)
{
    struct winsize ws = {0};
    size_t widest = widest_first(t, images, all);

    t->tty = isatty(1);
    t->width = t->tty && ioctl(1, TIOCGWINSZ, &ws) == 0 && ws.ws_col ? ws.ws_col : WIDTH_USUAL;
    t->width = t->width < WIDTH_MIN ? WIDTH_MIN : t->width;
    t->first = t->width;
    for (t->shown = 1; t->shown < COLUMNS; t->shown++) {
        size_t takes = columns[t->shown].width + GAP;
        if (t->first < takes + FIRST_MIN)
            break;
        t->first -= takes;
    }
    t->first = widest < t->first ? widest : t->first;
}

static void put_head(const struct tree *t)
{
    put_styled(t, WARNING,
               "WARNING: This is an experimental feature. The output may change and shouldn't be "
               "depended on.");
    (void)putchar('\n');
    if (t->tty) {
        put_blanks(t->width > 21 ? t->width - 21 : 0);
        printf(INFO CHIP " U " OFF " In Use \n\n");
    } else {
        put_blanks(t->width - 18);
        printf("Info ->  U In Use \n\n");
    }
    put_first(t, BOLD, "", columns[FIRST].title);
    for (size_t i = ID; i < t->shown; i++)
        put_cell(t, i, BOLD, columns[i].title);
    (void)putchar('\n');
}

void images_tree(struct cli *cli, const struct objv *images, bool all)
{
    struct tree t = {.a = &cli->arena};

    lay_out(&t, images, all);
    put_head(&t);
    for (size_t i = 0; i < images->n; i++)
        if (is_shown(images->v[i], all))
            put_image(&t, images->v[i]);
}
