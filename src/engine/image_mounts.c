/*
 * Images as mounts: the tree of an image's layers, read-only, in a container that was made from
 * another. Which image a name means is decided when the container is made; like its own image, it
 * is not removed while the container has it.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/mounts.h"

int ctr_image_resolve(struct container *c, const struct bind *b, struct ctr_volume *ret,
                      struct err *err)
{
    struct img_use image;
    int r = img_resolve(c->e, b->source, NULL, &c->mem, &image, err);

    if (r < 0)
        return r;
    *ret = (struct ctr_volume){.image = image.id,
                               .image_name = b->source,
                               .subpath = b->subpath,
                               .target = b->target,
                               .mode = b->mode,
                               .ro = true,
                               .no_copy = true};
    return 0;
}

/* An overlay wants something below it, also where an image has no layers. */
int engine_empty_dir(struct engine *e, struct arena *a, char **ret, struct err *err)
{
    if (mkdirat(e->data_fd, "empty", 0755) < 0 && errno != EEXIST)
        return err_sys(err, "make an empty directory");
    *ret = arena_printf(a, "%s/empty", e->data_path);
    return 0;
}

int ctr_image_layers(struct container *c, const struct ctr_volume *v, struct arena *a,
                     struct strv *ret, struct err *err)
{
    struct img_use image;
    char *empty;
    int r = img_resolve(c->e, v->image, NULL, a, &image, err);

    if (r >= 0 && image.lowers.n == 0) {
        r = engine_empty_dir(c->e, a, &empty, err);
        if (r >= 0)
            strv_push(a, &image.lowers, empty);
    }
    if (r < 0)
        return err_wrap(err, r, "mount image %s at %s", v->image_name, v->target);
    *ret = image.lowers;
    return 0;
}

bool ctr_mounts_image(const struct container *c, const char *image_id)
{
    for (size_t i = 0; i < c->volumes.n; i++)
        if (str_eq(c->volumes.v[i]->image, image_id))
            return true;
    return false;
}
