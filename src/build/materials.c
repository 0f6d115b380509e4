#include "build/materials.h"

#include <stdlib.h>
#include <string.h>

#include "build/add.h"
#include "build/fetch.h"
#include "build/purl.h"

/* The same one is used by many steps. */
static void add(struct build *b, const char *uri, const char *kind, const char *digest)
{
    (void)pthread_mutex_lock(&b->lock);
    bool known = false;
    for (size_t i = 0; i < b->materials.n && !known; i++)
        known = str_eq(b->materials.v[i].uri, uri) && str_eq(b->materials.v[i].digest, digest);
    if (!known)
        arena_push(&b->a, b->materials) =
            (struct material){arena_strdup(&b->a, uri), kind, arena_strdup(&b->a, digest)};
    (void)pthread_mutex_unlock(&b->lock);
}

/* As registries know it: by the index, or the manifest, that the name means; one that was made here
 * by its id. */
void material_image(struct stage *st, const char *name, const char *platform,
                    const struct image_row *row)
{
    auto_arena struct arena a = ARENA_INIT;
    struct build *b = st->b;
    struct image_row named = {0};
    struct platform p;

    if (platform_parse(platform, &p, NULL) < 0)
        return; /* it could not have been found */
    if (image_resolve(b->store, name, &a, &named, NULL) < 0)
        named = *row;
    const char *digest = str_or(named.index, str_or(row->manifest, row->id));
    char *uri = purl_image(name, &p, &a);
    if (uri)
        add(b, uri, "sha256", digest + strlen("sha256:"));
}

char *material_address(const char *url, struct arena *a)
{
    const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : url;
    size_t n = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', n);

    if (!scheme || !at)
        return arena_strdup(a, url);
    return arena_printf(a, "%.*s%s", (int)(host - url), url, at + 1);
}

static void add_git(struct stage *st, const struct add_remote *r, const char *id, struct arena *a)
{
    struct git_url u;

    if (git_url_parse(r->source, a, &u, NULL) < 0)
        return;
    const char *commit = str_or(id, str_or(r->checksum, str_or(u.commit, str_or(u.ref, ""))));
    char *uri = u.ref || *u.subdir ? arena_printf(a, "%s#%s%s%s", u.shown, str_or(u.ref, ""),
                                                  *u.subdir ? ":" : "", u.subdir)
                                   : u.shown;
    add(st->b, uri, strlen(commit) == 64 ? "sha256" : "sha1", commit);
}

void material_remote(struct stage *st, const struct add_remote *r, const char *id)
{
    auto_arena struct arena a = ARENA_INIT;

    if (git_url_is(r->source)) {
        add_git(st, r, id, &a);
        return;
    }
    const char *hex = str_starts(str_or(id, str_or(r->checksum, "")), "sha256:");
    if (hex)
        add(st->b, material_address(r->source, &a), "sha256", hex);
}

static int by_uri(const void *a, const void *b)
{
    const struct material *x = a, *y = b;
    int d = strcmp(x->uri, y->uri);

    return d ? d : strcmp(x->digest, y->digest);
}

void materials_put(struct build *b, struct json_w *w)
{
    if (b->materials.n)
        qsort(b->materials.v, b->materials.n, sizeof(*b->materials.v), by_uri);
    json_w_arr(w);
    for (size_t i = 0; i < b->materials.n; i++) {
        const struct material *m = &b->materials.v[i];
        json_w_obj(w);
        json_w_key(w, "uri");
        json_w_str(w, m->uri);
        json_w_key(w, "digest");
        json_w_obj(w);
        json_w_key(w, m->kind);
        json_w_str(w, m->digest);
        json_w_end_obj(w);
        json_w_end_obj(w);
    }
    json_w_end_arr(w);
}
