/*
 * Images as the engine sees them: find one by whatever the user wrote, read its config, know its
 * layer directories. Rows are in store/images.h, names in distribution/reference.h.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "image/manifest.h"
#include "distribution/reference.h"
#include "store/images.h"
#include "store/store.h"

/**
 * image_resolve() - an image by name, name@digest, id, or unambiguous prefix of its id; or by the
 * digest of the index that a name means, as that name would
 * Return: 0; -ENOENT "No such image: x"; -EINVAL "invalid reference format".
 */
int image_resolve(struct image_store *s, const char *text, struct arena *a, struct image_row *ret,
                  struct err *err) MUST;

/** image_config_read() - the decoded config of an image, in @a; @ret_text: its bytes, may be NULL.
 */
int image_config_read(struct image_store *s, const char *id, struct arena *a,
                      struct oci_image **ret, struct json_raw *ret_text, struct err *err) MUST;

/** image_lowers() - its layer directories relative to the data root, topmost first (overlay's
 * order), in @a. */
struct strv image_lowers(const struct image_row *row, struct arena *a);

/**
 * image_create() - an image from a config document and layers that the store has
 * @config: exact bytes of the config; its rootfs.diff_ids must name stored layers
 * @lease: holds the layers
 * @ret_id: digest of the config
 * Return: 0; 1: it existed.
 */
int image_create(struct image_store *s, const char *config, size_t len, const char *parent,
                 struct lease *lease, char ret_id[DIGEST_LEN + 1], struct err *err) MUST;

/** image_new_name() - the full name an image will get from what a user wrote, "" for none. Return:
 * 0; -EINVAL, also for a digest, which nobody can choose. */
int image_new_name(const char *text, char ret[REF_TEXT_MAX + 1], struct err *err) MUST;
/** image_create_tagged() - image_create() and the name (of image_new_name()), both or neither. */
int image_create_tagged(struct image_store *s, const struct buf *config, const char *parent,
                        const char *name, struct lease *lease, char ret_id[DIGEST_LEN + 1],
                        struct err *err) MUST;

/**
 * image_builtin() - make sure that an image of one file exists under a name; for the product's own
 * @ref: "cleat/hello:latest"; @path: name in the image, "hello"; @p: @n bytes, mode 0755
 * @config: what containers get
 * @ret_id: its id
 * Return: 0; 1: it was there already.
 */
int image_builtin(struct image_store *s, const char *ref, const char *path, const void *p, size_t n,
                  const struct oci_image_config *config, char ret_id[DIGEST_LEN + 1],
                  struct err *err) MUST;
