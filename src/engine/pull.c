/* docker pull: one tag or digest, or all tags of a repository. */
#include "engine/registry-priv.h"

#include <errno.h>
#include <string.h>

#include "distribution/tags.h"
#include "image/pull.h"

/* fromImage and tag of the API; the latter may be a digest. Neither: all tags. */
int registry_reference(const char *name, const char *tag, struct reference *ret, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    bool digest = tag && strchr(tag, ':');
    int r = reference_parse(name, ret, err);

    if (r < 0 || str_empty(tag))
        return r;
    return reference_parse(arena_printf(&a, "%s%c%s", ret->name, digest ? '@' : ':', tag), ret,
                           err);
}

static int pull_one(struct engine *e, struct dist_session *s, const struct reference *ref,
                    const char *platform, bool aside, int gone_fd, img_progress fn, void *arg,
                    struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    char text[REF_TEXT_MAX + 1], name[REF_TEXT_MAX + 1];
    struct pull_options o = {.session = s,
                             .transfers = e->registries->transfers,
                             .ref = ref,
                             .platform = platform,
                             .aside = aside,
                             .gone_fd = gone_fd,
                             .tell = fn,
                             .ctx = arg};
    struct pull_result res;
    struct strmap attrs = {0};
    int r = image_pull(e->images, &o, &res, err);

    if (r < 0)
        return r;
    strmap_set(&a, &attrs, "name", reference_familiar_name(ref, name));
    events_put(e->events, "image", "pull", reference_familiar(ref, text), &attrs);
    return 0;
}

static int pull_all(struct engine *e, struct dist_session *s, const struct reference *ref,
                    const char *platform, int gone_fd, img_progress fn, void *arg, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv tags = {0};
    int r = dist_tags(s, ref->name + ref->domain_len + 1, &a, &tags, err);

    for (size_t i = 0; r >= 0 && i < tags.n; i++) {
        struct reference one;
        r = registry_reference(ref->name, tags.v[i], &one, err);
        if (r >= 0)
            r = pull_one(e, s, &one, platform, false, gone_fd, fn, arg, err);
    }
    return r;
}

static int pull(struct engine *e, const char *name, const char *tag, const char *platform,
                bool aside, const struct auth_config *auth, int gone_fd, img_progress fn, void *arg,
                struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_dist_session struct dist_session *s = NULL;
    struct reference ref;
    int r = registry_reference(name, tag, &ref, err);

    if (r >= 0)
        r = registry_session(e, registry_of(&ref, &a), auth, REGISTRY_PULL, gone_fd, &s, err);
    if (r < 0)
        return r;
    return ref.tag[0] || ref.digest[0]
               ? pull_one(e, s, &ref, platform, aside, gone_fd, fn, arg, err)
               : pull_all(e, s, &ref, platform, gone_fd, fn, arg, err);
}

int img_pull(struct engine *e, const char *name, const char *tag, const char *platform,
             const struct auth_config *auth, int gone_fd, img_progress fn, void *arg,
             struct err *err)
{
    return pull(e, name, tag, platform, false, auth, gone_fd, fn, arg, err);
}

int img_pull_base(struct engine *e, const char *name, const char *tag, const char *platform,
                  const struct auth_config *auth, int gone_fd, img_progress fn, void *arg,
                  struct err *err)
{
    return pull(e, name, tag, platform, true, auth, gone_fd, fn, arg, err);
}
