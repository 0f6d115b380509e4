#include "image/pull.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "distribution/blob.h"
#include "image/pull-priv.h"
#include "image/store.h"
#include "store/blobs.h"
#include "store/db.h"
#include "store/layer_blobs.h"

#define INDEX_DEPTH 3

static int say(struct pull *p, const char *id, const char *status, struct err *err)
{
    struct transfer_event e = {.id = id, .status = status};

    return transfer_report_event(&p->report, &e, err);
}

/* What the user asked for, as the registry knows it. */
static const char *wanted(const struct pull *p)
{
    return p->o->ref->digest[0] ? p->o->ref->digest : p->o->ref->tag;
}

/* ---- the manifest ---- */

/* Docker's words for what is not there, or not for us. */
static int explain(const struct pull *p, int r, struct err *err)
{
    char name[REF_TEXT_MAX + 1], text[REF_TEXT_MAX + 1];

    if (!err)
        return r;
    (void)reference_familiar_name(p->o->ref, name);
    /* All else is 500 with Docker, too: by 401 its client would ask for a password, and wait. */
    if (err->kind != ERR_NOT_FOUND && err->kind != ERR_INVALID)
        err->kind = ERR_SYSTEM;
    if (r == -EACCES) {
        err->kind = ERR_NOT_FOUND;
        return err_wrap(err, r,
                        "pull access denied for %s, repository does not exist or may require "
                        "'docker login'",
                        name);
    }
    if (r == -ENOENT)
        return err_wrap(err, r, "manifest for %s not found", reference_familiar(p->o->ref, text));
    if (r == -ENOMEDIUM)
        return err_wrap(err, r, "repository %s not found", name);
    return r;
}

static int no_platform(const struct platform *want, struct err *err)
{
    char text[PLATFORM_TEXT];

    return err_not_found(err, "no matching manifest for %s in the manifest list entries",
                         platform_text(want, text));
}

/* One of the images of an index. */
static int get_listed(struct pull *p, const struct oci_descriptor *d, struct remote_manifest *ret,
                      struct err *err)
{
    struct dist_manifest doc;

    if (d->size > DIST_MANIFEST_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "manifest %s has %lld bytes", d->digest,
                      (long long)d->size);
    int r = dist_manifest_get(p->o->session, p->repo, d->digest, p->a, &doc, err);
    if (r < 0)
        return r;
    if ((uint64_t)d->size != doc.len)
        return err_as(err, ERR_INVALID, EBADMSG, "manifest %s: expected %lld bytes, got %zu",
                      d->digest, (long long)d->size, doc.len);
    r = remote_manifest_check(&doc, p->a, ret, err);
    if (r >= 0 && strcmp(ret->doc.media_type, d->media_type) != 0)
        return err_invalid(err, "manifest %s is a \"%s\", its index says \"%.100s\"", d->digest,
                           ret->doc.media_type, d->media_type);
    return r;
}

static int get_manifest(struct pull *p, struct err *err)
{
    struct platform want;
    struct dist_manifest doc;
    struct remote_manifest m;
    int r = platform_parse(p->o->platform, &want, err);

    if (r < 0)
        return r;
    r = dist_manifest_get(p->o->session, p->repo, wanted(p), p->a, &doc, err);
    if (r < 0)
        return explain(p, r, err);
    r = say(p, wanted(p), arena_printf(p->a, "Pulling from %s", p->repo), err);
    if (r >= 0)
        r = remote_manifest_check(&doc, p->a, &m, err);
    if (r < 0)
        return r;
    memcpy(p->digest, doc.digest, sizeof(p->digest));
    if (m.index)
        p->index = doc;
    for (int depth = 0; m.index; depth++) {
        const struct oci_descriptor *d = remote_choose(&m, &want);
        if (!d)
            return no_platform(&want, err);
        if (depth == INDEX_DEPTH)
            return err_invalid(err, "invalid manifest: nested too deep");
        r = get_listed(p, d, &m, err);
        if (r < 0)
            return r;
    }
    p->man = m;
    return 0;
}

/* ---- the config ---- */

static int fetch_config(struct pull *p, struct buf *text, struct err *err)
{
    const struct oci_descriptor *d = p->man.man.config;

    lease_add(p->lease, d->digest); /* before looking, so that it stays */
    if (blob_exists(p->s, d->digest))
        return blob_read(p->s, d->digest, text, err);
    return dist_blob_get(p->o->session, p->repo, d->digest, (uint64_t)d->size, text, err);
}

static int get_config(struct pull *p, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = fetch_config(p, &text, err);

    if (r < 0)
        return err_wrap(err, r, "config of the image");
    p->config = arena_strndup(p->a, buf_str(&text), text.len);
    p->config_len = text.len;
    return remote_config_check(&p->man.man, p->config, p->config_len, p->a, &p->img, err);
}

/* ---- the image ---- */

/* "docker.io/library/busybox@sha256:..." */
static const char *digest_name(const struct pull *p)
{
    return arena_printf(p->a, "%s@%s", p->o->ref->name, p->digest);
}

/* What the name meant until now. Return: 1: another image or none; 0: this one. */
static int is_newer(struct pull *p, const char *name, const char *id, struct image_row *row,
                    struct err *err)
{
    int r = image_by_tag(p->s, name, p->a, row, err);

    if (r == -ENOENT) {
        err_clear(err);
        *row = (struct image_row){0};
        return 1;
    }
    return r < 0 ? r : strcmp(row->id, id) != 0;
}

/* Does what the name means, of the same index, fit this machine as well? */
static bool stays_aside(struct pull *p, const struct image_row *row)
{
    struct platform host, had, got;
    struct oci_image *img = NULL;

    if (!p->o->aside || !p->index.text || !str_eq(row->index, p->index.digest) ||
        image_config_read(p->s, row->id, p->a, &img, NULL, NULL) < 0)
        return false;
    platform_of(&host, NULL);
    platform_set(&had, img->os, img->architecture, img->variant);
    platform_set(&got, p->img->os, p->img->architecture, p->img->variant);
    return platform_score(&host, &had) >= platform_score(&host, &got);
}

static int bind_names(struct pull *p, const char *name, bool newer, const char *id, struct err *err)
{
    const char *by_digest = digest_name(p), *index = p->index.text ? p->index.digest : NULL;
    int r = image_digest_set(p->s, by_digest, id, err);

    if (r >= 0 && newer && !p->o->ref->digest[0])
        r = image_tag_set(p->s, name, id, NULL, err);
    if (r >= 0)
        r = image_name_origin_set(p->s, by_digest, p->man.doc.digest, index, err);
    return r < 0 ? r : image_name_origin_set(p->s, name, p->man.doc.digest, index, err);
}

static int bind_documents(struct pull *p, const char *id, struct err *err)
{
    struct strv parts = {0};
    int r = image_manifest_set(p->s, id, p->man.doc.digest, err);

    if (r >= 0)
        r = manifest_blobs_set(p->s, p->man.doc.digest, &p->blobs, err);
    strv_push(p->a, &parts, p->man.doc.digest);
    return r < 0 || !p->index.text ? r : index_parts_set(p->s, p->index.digest, &parts, err);
}

static int bind_image(struct pull *p, struct pull_result *ret, struct err *err)
{
    struct reference tag = *p->o->ref;
    char name[REF_TEXT_MAX + 1];
    struct image_row had;
    int r = image_create(p->s, p->config, p->config_len, NULL, p->lease, ret->id, err);

    if (r >= 0)
        r = bind_documents(p, ret->id, err);
    if (r < 0)
        return r;
    if (tag.digest[0])
        (void)snprintf(name, sizeof(name), "%s", digest_name(p));
    else
        (void)reference_text(&tag, name);
    int newer = is_newer(p, name, ret->id, &had, err);
    if (newer < 0)
        return newer;
    ret->newer = newer > 0;
    return newer && stays_aside(p, &had) ? 0 : bind_names(p, name, newer, ret->id, err);
}

static int make_image(struct pull *p, struct pull_result *ret, struct err *err)
{
    struct pull_result res = {0};
    struct db *db = image_store_db(p->s);
    /* Files before the transaction: syncing them would hold up everybody else. */
    int r = blob_put(p->s, p->man.doc.text, p->man.doc.len, p->lease, NULL, err);

    if (r >= 0 && p->index.text)
        r = blob_put(p->s, p->index.text, p->index.len, p->lease, NULL, err);
    if (r >= 0)
        r = blob_put(p->s, p->config, p->config_len, p->lease, NULL, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.pull.blobs", err);
    r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    r = bind_image(p, &res, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.pull.made", err);
    r = db_commit(&tx, err);
    if (r < 0)
        return r;
    memcpy(res.digest, p->digest, sizeof(res.digest));
    *ret = res;
    return 0;
}

/* An image of one platform only is taken whatever was asked for; the user is told. */
static int check_platform(struct pull *p, struct err *err)
{
    char want_text[PLATFORM_TEXT], have_text[PLATFORM_TEXT], name[REF_TEXT_MAX + 1];
    struct platform want, have;
    int r = platform_parse(p->o->platform, &want, err);

    platform_set(&have, p->img->os, p->img->architecture, p->img->variant);
    if (r < 0 || str_empty(p->o->platform) || platform_score(&want, &have) > 0)
        return r;
    return say(p, NULL,
               arena_printf(p->a,
                            "WARNING: image with reference %s was found but its platform (%s) does "
                            "not match the specified platform (%s)",
                            reference_familiar(p->o->ref, name), platform_text(&have, have_text),
                            platform_text(&want, want_text)),
               err);
}

static int finish(struct pull *p, const struct pull_result *res, struct err *err)
{
    char name[REF_TEXT_MAX + 1];
    int r = say(p, NULL, arena_printf(p->a, "Digest: %s", res->digest), err);

    if (r >= 0)
        r = say(p, NULL,
                arena_printf(p->a, "Status: %s for %s",
                             res->newer ? "Downloaded newer image" : "Image is up to date",
                             reference_familiar(p->o->ref, name)),
                err);
    return r < 0 ? r : check_platform(p, err);
}

static int pull(struct pull *p, struct pull_result *ret, struct err *err)
{
    FAIL_POINT("image.pull.before", err);
    int r = get_manifest(p, err);
    if (r >= 0)
        r = get_config(p, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.pull.config", err);
    r = pull_layers(p, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.pull.layers", err);
    r = make_image(p, ret, err);
    if (r < 0)
        return r;
    pull_release(p);
    FAIL_POINT("image.pull.after", err);
    return finish(p, ret, err);
}

int image_pull(struct image_store *s, const struct pull_options *o, struct pull_result *ret,
               struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct pull p = {.s = s, .o = o, .a = &a, .lease = lease_new(s)};

    p.repo = o->ref->name + o->ref->domain_len + 1;
    transfer_report_init(&p.report, o->tell, o->ctx);
    int r = pull(&p, ret, err);
    if (r < 0 && !dist_transient(r) && r != -ECANCELED && p.img)
        pull_release(&p); /* another attempt would end in the same way */
    lease_free(p.lease);
    transfer_report_done(&p.report);
    /* What this one left, or replaced, and what older ones left. A later one gets what this cannot.
     */
    (void)!store_gc(s, NULL, NULL, NULL);
    return r;
}
