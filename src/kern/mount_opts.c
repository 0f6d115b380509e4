/*
 * The table of mount options: which name sets or clears which attribute of a mount, of a whole tree
 * ("rro"), of the super block, or is ours alone ("tmpcopyup"). Names that are not here belong to
 * the file system and are handed to it.
 */
#include "kern/mount.h"

#include <errno.h>
#include <linux/mount.h>
#include <stddef.h>

/* After <linux/mount.h>: glibc's own header defines the same structs, so this file does without. */
#define PROP_UNBINDABLE (1U << 17)
#define PROP_PRIVATE (1U << 18)
#define PROP_SLAVE (1U << 19)
#define PROP_SHARED (1U << 20)

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

enum what { SET, CLR, RSET, RCLR, PROP, RPROP, BIND, RBIND, SB_ON, SB_OFF, EXT, NOTHING };

struct option {
    const char *name;
    enum what what;
    uint64_t bits; /* MOUNT_ATTR_*, MS_*, enum mount_ext, or an offset for SB_* */
};

#define ATIMES (MOUNT_ATTR__ATIME)
#define SB(member) offsetof(struct mount_opts, member)

static const struct option table[] = {
    {"ro", SET, MOUNT_ATTR_RDONLY},
    {"rw", CLR, MOUNT_ATTR_RDONLY},
    {"nosuid", SET, MOUNT_ATTR_NOSUID},
    {"suid", CLR, MOUNT_ATTR_NOSUID},
    {"nodev", SET, MOUNT_ATTR_NODEV},
    {"dev", CLR, MOUNT_ATTR_NODEV},
    {"noexec", SET, MOUNT_ATTR_NOEXEC},
    {"exec", CLR, MOUNT_ATTR_NOEXEC},
    {"nodiratime", SET, MOUNT_ATTR_NODIRATIME},
    {"diratime", CLR, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", SET, MOUNT_ATTR_NOSYMFOLLOW},
    {"symfollow", CLR, MOUNT_ATTR_NOSYMFOLLOW},
    {"noatime", SET, MOUNT_ATTR_NOATIME},
    {"atime", CLR, MOUNT_ATTR_NOATIME},
    {"strictatime", SET, MOUNT_ATTR_STRICTATIME},
    {"nostrictatime", CLR, MOUNT_ATTR_STRICTATIME},
    {"relatime", SET, MOUNT_ATTR_RELATIME},
    {"norelatime", CLR, MOUNT_ATTR_RELATIME},
    {"rro", RSET, MOUNT_ATTR_RDONLY},
    {"rrw", RCLR, MOUNT_ATTR_RDONLY},
    {"rnosuid", RSET, MOUNT_ATTR_NOSUID},
    {"rsuid", RCLR, MOUNT_ATTR_NOSUID},
    {"rnodev", RSET, MOUNT_ATTR_NODEV},
    {"rdev", RCLR, MOUNT_ATTR_NODEV},
    {"rnoexec", RSET, MOUNT_ATTR_NOEXEC},
    {"rexec", RCLR, MOUNT_ATTR_NOEXEC},
    {"rnodiratime", RSET, MOUNT_ATTR_NODIRATIME},
    {"rdiratime", RCLR, MOUNT_ATTR_NODIRATIME},
    {"rnosymfollow", RSET, MOUNT_ATTR_NOSYMFOLLOW},
    {"rsymfollow", RCLR, MOUNT_ATTR_NOSYMFOLLOW},
    {"rnoatime", RSET, MOUNT_ATTR_NOATIME},
    {"ratime", RCLR, MOUNT_ATTR_NOATIME},
    {"rstrictatime", RSET, MOUNT_ATTR_STRICTATIME},
    {"rrelatime", RSET, MOUNT_ATTR_RELATIME},
    {"private", PROP, PROP_PRIVATE},
    {"slave", PROP, PROP_SLAVE},
    {"shared", PROP, PROP_SHARED},
    {"unbindable", PROP, PROP_UNBINDABLE},
    {"rprivate", RPROP, PROP_PRIVATE},
    {"rslave", RPROP, PROP_SLAVE},
    {"rshared", RPROP, PROP_SHARED},
    {"runbindable", RPROP, PROP_UNBINDABLE},
    {"bind", BIND, 0},
    {"rbind", RBIND, 0},
    {"sync", SB_ON, SB(sb_sync)},
    {"async", SB_OFF, SB(sb_sync)},
    {"dirsync", SB_ON, SB(sb_dirsync)},
    {"lazytime", SB_ON, SB(sb_lazytime)},
    {"nolazytime", SB_OFF, SB(sb_lazytime)},
    {"mand", SB_ON, SB(sb_mand)},
    {"nomand", SB_OFF, SB(sb_mand)},
    {"tmpcopyup", EXT, MOUNT_TMPCOPYUP},
    {"idmap", EXT, MOUNT_IDMAP},
    {"ridmap", EXT, MOUNT_RIDMAP},
    {"defaults", NOTHING, 0},
    {"iversion", NOTHING, 0},
    {"noiversion", NOTHING, 0},
    {"loud", NOTHING, 0},
    {"silent", NOTHING, 0},
    {"acl", NOTHING, 0},
    {"noacl", NOTHING, 0},
};

#define OPTIONS (sizeof(table) / sizeof(table[0]))

/* The three access time policies are one value, not three bits: a new one replaces the old. */
static void set_attr(uint64_t *set, uint64_t *clr, uint64_t bits)
{
    if (bits == MOUNT_ATTR_RELATIME || bits & ATIMES) {
        *set &= ~(uint64_t)ATIMES;
        *clr |= ATIMES;
    } else {
        *clr &= ~bits;
    }
    *set |= bits;
}

static void clr_attr(uint64_t *set, uint64_t *clr, uint64_t bits)
{
    if (bits & ATIMES)
        set_attr(set, clr, MOUNT_ATTR_RELATIME); /* the default policy */
    *set &= ~bits;
    if (!(bits & ATIMES))
        *clr |= bits;
}

static void apply(const struct option *opt, struct mount_opts *o)
{
    switch (opt->what) {
    case SET:
        set_attr(&o->attr_set, &o->attr_clr, opt->bits);
        break;
    case CLR:
        clr_attr(&o->attr_set, &o->attr_clr, opt->bits);
        break;
    case RSET:
        set_attr(&o->rec_set, &o->rec_clr, opt->bits);
        break;
    case RCLR:
        clr_attr(&o->rec_set, &o->rec_clr, opt->bits);
        break;
    case PROP:
    case RPROP:
        o->propagation = opt->bits;
        o->propagation_rec = opt->what == RPROP;
        break;
    case BIND:
    case RBIND:
        o->bind = true;
        o->rec = opt->what == RBIND;
        break;
    case SB_ON:
    case SB_OFF:
        *(bool *)((char *)o + opt->bits) = opt->what == SB_ON;
        break;
    case EXT:
        o->ext |= (unsigned)opt->bits;
        break;
    case NOTHING:
        break;
    }
}

int mount_opts_parse(const struct strv *options, struct arena *a, struct mount_opts *ret,
                     struct err *err)
{
    struct mount_opts o = {0};

    for (size_t i = 0; i < options->n; i++) {
        const char *name = options->v[i];
        size_t k = 0;
        while (k < OPTIONS && strcmp(table[k].name, name) != 0)
            k++;
        if (k < OPTIONS)
            apply(&table[k], &o);
        else if (*name)
            strv_push(a, &o.data, name);
    }
    if ((o.ext & MOUNT_IDMAP) && (o.ext & MOUNT_RIDMAP))
        return err_invalid(err, "mount options idmap and ridmap exclude each other");
    *ret = o;
    return 0;
}

void mount_opts_names(struct arena *a, struct strv *ret)
{
    for (size_t i = 0; i < OPTIONS; i++)
        strv_push(a, ret, table[i].name);
}
