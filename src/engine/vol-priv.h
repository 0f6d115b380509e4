/*
 * Volumes: what the files of this folder that deal with them share. A volume is a row in the
 * catalog (vol_record.c) and whatever its driver has for it: a directory of ours (vol_local.c), or
 * something that a plugin keeps (vol_plugin.c). Nobody else asks which of the two it is.
 */
#pragma once

#include "engine/engine-priv.h"

/* ---- vol_record.c: the row ---- */

/* A mount that a plugin made for us and that it has not been told to take back. */
struct vol_mounted {
    char *id;        /* what the plugin knows it by */
    char *container; /* whose run it is for; "": for a copy, which ends with the daemon at latest */
    char *target;    /* where it is in the container */
    char *life;      /* the daemon that asked for it */
    char *leaver;    /* the daemon that is taking it back, or "" */
};

struct vol_record {
    struct volume_create_request rq; /* Driver: "" for a directory of ours */
    /* Names that the image brings, while an empty volume is being filled with them. Found in a row
     * by anybody who holds the name, it says that a daemon died over it. */
    struct strv filling;
    char *mountpoint; /* where a plugin had it last, or "" */
    VEC_OF(struct vol_mounted *) mounted;
    int64_t created_ns;
};

/** vol_get() - @ret in @a. Return: 0; -ENOENT "get x: no such volume". */
int vol_get(struct engine *e, const char *name, struct arena *a, struct vol_record *ret,
            struct err *err) MUST;
int vol_list_records(struct engine *e, struct arena *a, struct vol_record ***ret, size_t *ret_n,
                     struct err *err) MUST;
/** vol_insert() - Return: 0; -EEXIST. */
int vol_insert(struct engine *e, const struct volume_create_request *rq, struct err *err) MUST;
/**
 * vol_edit() - read, change, write, with nobody in between
 * @fn: Return: 1 it changed @rec; 0 it did not; -errno. What it adds lives in @a.
 * Return: what @fn returned; -ENOENT.
 */
typedef int (*vol_edit_fn)(struct vol_record *rec, void *arg, struct arena *a, struct err *err);
int vol_edit(struct engine *e, const char *name, vol_edit_fn fn, void *arg, struct err *err) MUST;

/*
 * One at a time makes, fills or removes a volume; those who come meanwhile wait. Containers that
 * use it, and mounts that begin and end, do not. Held while plugins are asked, so that a slow one
 * holds up nobody but those who want the same volume.
 */
struct vol_hold {
    struct engine *e;
    const char *name;
    struct vol_hold *next;
};
void vol_hold(struct engine *e, const char *name, struct vol_hold *h);
void vol_release(struct vol_hold *h);
#define auto_hold __attribute__((__cleanup__(vol_release), __unused__))

/* ---- the seam ---- */

/* A volume's directory, open for as long as somebody works on it. */
struct vol_open {
    int fd;   /* -1: it cannot be opened here */
    char *id; /* of the mount that this took, or NULL */
    char *name;
};

struct ctr_volume;
struct oci_mount;
struct vol_driver {
    /* May it be made: options, and is there such a driver? */
    int (*check)(struct engine *e, const struct volume_create_request *rq, struct err *err);
    /* What the row speaks of; there already is fine. The name is held. */
    int (*create)(struct engine *e, const struct volume_create_request *rq, struct err *err);
    /* The row goes after it. The name is held. */
    int (*remove)(struct engine *e, const struct vol_record *rec, struct err *err);
    /* Return: 1 it is there; 0 it is not, whatever the row says. */
    int (*exists)(struct engine *e, const struct vol_record *rec, struct err *err);
    /* All that "inspect" shows. */
    int (*describe)(struct engine *e, const struct vol_record *rec, struct arena *a,
                    struct volume_info *ret, struct err *err);
    /* Return: 1 with @ret, for vol_close(); 0: it can only be mounted in a container. */
    int (*open)(struct engine *e, const struct vol_record *rec, struct vol_open *ret,
                struct err *err);
    /* A run of @c begins, before its mounts are listed; NULL: nothing to do. */
    int (*attach)(struct container *c, struct ctr_volume *v, struct err *err);
    /* The mount in a container. */
    int (*mount)(struct engine *e, const struct vol_record *rec, const struct ctr_volume *v,
                 struct arena *a, struct oci_mount *m, struct err *err);
    bool open_is_dear; /* opening it asks somebody else */
};
extern const struct vol_driver vol_local, vol_plugin;

/** vol_is_local() - @driver: as requests and rows have it. */
bool vol_is_local(const char *driver);
static inline const struct vol_driver *vol_driver(const struct volume_create_request *rq)
{
    return vol_is_local(rq->driver) ? &vol_local : &vol_plugin;
}
/** vol_close() - also of one that was never opened. */
void vol_close(struct engine *e, struct vol_open *o);

/* ---- volumes.c ---- */

/** vol_describe_row() - what is known without asking anybody. */
void vol_describe_row(const struct vol_record *rec, struct arena *a, struct volume_info *ret);

/* ---- vol_plugin.c ---- */

/** vol_plugin_mount(), vol_plugin_unmount() - the calls alone. @ret_path: as the plugin says. */
int vol_plugin_mount(struct engine *e, const struct vol_record *rec, const char *id,
                     struct arena *a, char **ret_path, struct err *err) MUST;
int vol_plugin_unmount(struct engine *e, const struct vol_record *rec, const char *id,
                       struct err *err) MUST;
/** vol_plugin_list() - what one plugin has; -errno if it does not say. */
struct vol_infos {
    struct volume_info **v;
    size_t n;
};
int vol_plugin_list(struct engine *e, const char *driver, struct arena *a, struct vol_infos *ret,
                    struct err *err) MUST;
/** vol_plugin_probe() - @ret: the plugin, among those in use, that has a volume of that name and
 * nobody told us; "" for none. */
void vol_plugin_probe(struct engine *e, const char *name, struct arena *a, char **ret);

/* ---- vol_mounts.c: mounts that plugins made ---- */

/**
 * vol_mount() - have it mounted, and open the place
 * The row knows of the mount before the plugin does, so that it is taken back whatever dies.
 * @container: whose run it is for; "" for a copy
 * @ret_id: in @a
 * Return: descriptor of the directory (O_PATH).
 */
int vol_mount(struct engine *e, const char *name, const char *container, const char *target,
              struct arena *a, char **ret_id, struct err *err) MUST;
/** vol_opened() - @fd and the mount @id become @ret, readable. Return: 1; -errno, and nothing is
 * left mounted. */
int vol_opened(struct engine *e, const char *name, const char *id, int fd, struct vol_open *ret,
               struct err *err) MUST;
/** vol_unmount() - @id NULL: all that are for @container. What fails is logged, and tried again by
 * the next daemon. */
void vol_unmount(struct engine *e, const char *name, const char *container, const char *id);
/** vol_unmount_all() - what nobody uses any more; the name is held. */
void vol_unmount_all(struct engine *e, const char *name);
/** vol_sweep() - take back, in a job, what earlier daemons had mounted for runs that have ended. */
void vol_sweep(struct engine *e);

/* ---- vol_fill.c ---- */

/** vol_settle() - empty it again if a daemon died while it was filled; the name is held. */
int vol_settle(struct engine *e, const struct vol_record *rec, struct err *err) MUST;
