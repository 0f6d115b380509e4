/*
 * Running from a sealed copy. A container can make us execute ourselves inside it
 * ("#!/proc/self/exe"), keep a descriptor of our program through /proc, and write to it once we
 * have ended: the next start would run its code as root on the host (CVE-2019-5736). A sealed memfd
 * cannot be written.
 */
#include "oci/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool is_safe(int exe)
{
    struct statvfs fs;
    int seals = fcntl(exe, F_GET_SEALS);

    if (seals >= 0 && (seals & SEALS) == SEALS)
        return true;
    return fstatvfs(exe, &fs) == 0 && (fs.f_flag & ST_RDONLY);
}

static int make_copy(int exe, struct err *err)
{
    struct stat st;
    int fd = memfd_create("cleat", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 memfds are executable without asking */
        fd = memfd_create("cleat", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    auto_close int copy = fd;
    if (copy < 0 || fstat(exe, &st) < 0)
        return err_sys(err, "make a sealed copy of the program");
    for (off_t at = 0; at < st.st_size;) {
        ssize_t n = sendfile(copy, exe, &at, (size_t)(st.st_size - at));
        if (n <= 0)
            return err_no(err, n < 0 ? errno : EIO, "copy the program");
    }
    if (fcntl(copy, F_ADD_SEALS, SEALS) < 0)
        return err_sys(err, "seal the copy of the program");
    return take_fd(&copy);
}

int oci_seal_self(char **argv, struct err *err)
{
    auto_close int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    if (exe < 0)
        return err_sys(err, "open /proc/self/exe");
    if (is_safe(exe))
        return 0;
    auto_close int copy = make_copy(exe, err);
    if (copy < 0)
        return copy;
    (void)syscall(SYS_execveat, copy, "", argv, environ, AT_EMPTY_PATH);
    return err_sys(err, "execute the sealed copy");
}
