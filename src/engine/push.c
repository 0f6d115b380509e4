/* docker push: one tag, or all tags of a repository that are here. */
#include "engine/registry-priv.h"

#include <errno.h>
#include <string.h>

#include "image/push.h"
#include "image/transfers.h"

/* Tags of the repository that this store has. */
static int tags_here(struct engine *e, const struct reference *ref, struct arena *a,
                     struct strv *ret, struct err *err)
{
    struct image_rows rows = {0};
    const char *prefix = arena_printf(a, "%s:", ref->name);
    int r = image_rows_all(e->images, a, &rows, err);

    for (size_t i = 0; r >= 0 && i < rows.n; i++)
        for (size_t k = 0; k < rows.v[i].tags.n; k++) {
            const char *tag = str_starts(rows.v[i].tags.v[k], prefix);
            if (tag)
                strv_push(a, ret, tag);
        }
    return r;
}

static int push_one(struct engine *e, struct dist_session *s, const struct reference *ref,
                    const struct platform *want, bool by_digest, int gone_fd, img_progress fn,
                    void *arg, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    char text[REF_TEXT_MAX + 1], name[REF_TEXT_MAX + 1];
    struct push_options o = {.session = s,
                             .transfers = e->registries->transfers,
                             .ref = ref,
                             .want = want,
                             .by_digest = by_digest,
                             .gone_fd = gone_fd,
                             .tell = fn,
                             .ctx = arg};
    struct strmap attrs = {0};
    int r = image_push(e->images, &o, NULL, err);

    if (r < 0)
        return r;
    strmap_set(&a, &attrs, "name", reference_familiar_name(ref, name));
    events_put(e->events, "image", "push", reference_familiar(ref, text), &attrs);
    return 0;
}

static int push_tags(struct engine *e, const struct reference *ref, const struct strv *tags,
                     const struct platform *want, bool by_digest, const struct auth_config *auth,
                     int gone_fd, img_progress fn, void *arg, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_dist_session struct dist_session *s = NULL;
    int r = registry_session(e, registry_of(ref, &a), auth, REGISTRY_PUSH, gone_fd, &s, err);

    for (size_t i = 0; r >= 0 && i < tags->n; i++) {
        struct reference one;
        r = registry_reference(ref->name, tags->v[i], &one, err);
        if (r >= 0)
            r = push_one(e, s, &one, want, by_digest, gone_fd, fn, arg, err);
    }
    return r;
}

int img_push(struct engine *e, const char *name, const char *tag, const struct platform *want,
             bool by_digest, const struct auth_config *auth, int gone_fd, img_progress fn,
             void *arg, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    char text[REF_TEXT_MAX + 1];
    struct reference ref;
    struct strv here = {0}, one = {0};
    int r = registry_reference(name, tag, &ref, err);

    if (r >= 0 && ref.digest[0])
        r = err_invalid(err, "cannot push a digest reference");
    if (r < 0)
        return r;
    struct transfer_event begin = {
        .status = arena_printf(&a, "The push refers to repository [%s]", ref.name)};
    r = fn(arg, &begin, err);
    if (r >= 0)
        r = tags_here(e, &ref, &a, &here, err);
    if (r >= 0 && here.n == 0)
        r = err_not_found(err, "An image does not exist locally with the tag: %s",
                          reference_familiar_name(&ref, text));
    if (r < 0)
        return r;
    strv_push(&a, &one, ref.tag);
    return push_tags(e, &ref, ref.tag[0] ? &one : &here, want, by_digest, auth, gone_fd, fn, arg,
                     err);
}
