/* Docker's ".wh." names and what overlay has instead: 0/0 character devices, and an xattr. */
#include "archive/unpack-priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/auto.h"
#include "base/str.h"

#define WHITEOUT ".wh."
#define META ".wh..wh." /* of aufs; only the opaque mark means anything */
#define OPAQUE ".wh..wh..opq"

int unpack_set_opaque(int fd, struct err *err)
{
    if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) == 0)
        return 0;
    if (errno == EPERM && fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) == 0)
        return 0; /* in a user namespace, where overlay is mounted with userxattr */
    return err_sys(err, "mark a directory as opaque");
}

static int set_opaque_at(int dir_fd, const char *name, struct err *err)
{
    auto_close int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? err_sys(err, "open %s", name) : unpack_set_opaque(fd, err);
}

/* What the same layer brings itself is not whited out: a file hides the lower one anyway. */
static int make_whiteout(struct unpacker *u, const char *base, struct err *err)
{
    struct stat st;
    int dir = u->parent.fd;

    if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
        return err_as(err, ERR_INVALID, EBADMSG, "invalid whiteout name: %s%s", WHITEOUT, base);
    if (mknodat(dir, base, S_IFCHR, makedev(0, 0)) == 0)
        return 0;
    if (errno != EEXIST || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "white out %s", base);
    return S_ISDIR(st.st_mode) ? set_opaque_at(dir, base, err) : 0;
}

int unpack_whiteout(struct unpacker *u, const char *base, struct err *err)
{
    const char *hidden = str_starts(base, WHITEOUT);
    int r = 0;

    if (!(u->opts->flags & UNPACK_OVERLAY) || !hidden)
        return 0;
    if (strcmp(base, OPAQUE) == 0)
        r = set_opaque_at(u->parent.fd, ".", err);
    else if (!str_starts(base, META))
        r = make_whiteout(u, hidden, err);
    return r < 0 ? r : 1;
}

bool unpack_is_aufs(const struct unpacker *u, const char *name)
{
    return (u->opts->flags & UNPACK_OVERLAY) && str_starts(name, META) && strcmp(name, OPAQUE) != 0;
}
