/* The image store's inside, shared by store.c, gc.c, blobs.c and layers.c. */
#pragma once

#include "store/store.h"

#include <pthread.h>

#include "base/map.h"

#define TMP_PREFIX "tmp-"
#define PART_PREFIX "part-" /* and the digits of the blob it will be */

struct image_store {
    struct db *db;
    int blobs_fd;             /* image/blobs/sha256 */
    int ingest_fd;            /* image/blobs/ingest */
    int layers_fd;            /* layers */
    bool keep;                /* compressed blobs of layers; set once, before there are threads */
    pthread_mutex_t settling; /* one layers_settle() at a time; before the catalog and lock */
    pthread_mutex_t lock;
    struct map *leased; /* digest -> count; under lock */
};

/** store_leased() - is it in any lease? The lock is held. */
bool store_leased(const struct image_store *s, const char *digest);
/** tmp_name() - "tmp-" and 16 random hex digits. */
#define TMP_NAME (sizeof(TMP_PREFIX) + 16)
void tmp_name(char out[TMP_NAME]);
/** digest_hex() - the part behind "sha256:". */
static inline const char *digest_hex(const char *digest)
{
    return digest + 7;
}
/** check_digest() - Return: 0, -EINVAL. */
int check_digest(const char *digest, struct err *err) MUST;
/** each_name() - call @fn for every name in a directory but "." and "..". */
int each_name(int dir_fd, int (*fn)(void *ctx, const char *name, struct err *err), void *ctx,
              struct err *err) MUST;
