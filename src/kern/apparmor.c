/* AppArmor, by its files in securityfs and its own compiler. */
#include "kern/apparmor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/io.h"
#include "kern/program.h"

#define SECURITYFS "/sys/kernel/security/apparmor"
#define LIST_MAX (4 << 20)
#define OUTPUT_MAX 600
#define LOAD_MS 5000

/* Of the host, never found by PATH: it is run as root. */
static const char *const parsers[] = {"/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"};

bool apparmor_enabled(void)
{
    auto_buf struct buf t = BUF_INIT;

    return access(SECURITYFS, F_OK) == 0 &&
           read_file_at(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", 64, &t, NULL) >= 0 &&
           *buf_str(&t) == 'Y';
}

/* Lines are "name (mode)", and names may have spaces. */
int apparmor_loaded(const char *name, struct err *err)
{
    auto_buf struct buf t = BUF_INIT;
    size_t n = strlen(name);
    int r = read_file_at(AT_FDCWD, SECURITYFS "/profiles", LIST_MAX, &t, err);

    if (r < 0)
        return r;
    for (const char *p = buf_str(&t); p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
        if (strncmp(p, name, n) == 0 && strncmp(p + n, " (", 2) == 0)
            return 1;
    return 0;
}

static const char *parser(void)
{
    for (size_t i = 0; i < sizeof(parsers) / sizeof(parsers[0]); i++)
        if (access(parsers[i], X_OK) == 0)
            return parsers[i];
    return NULL;
}

bool apparmor_can_load(void)
{
    return parser() != NULL;
}

static int text_file(const char *text, struct err *err)
{
    auto_close int fd = memfd_create("profile", MFD_CLOEXEC);

    if (fd < 0)
        return err_sys(err, "make a file for the profile");
    int r = write_full(fd, text, strlen(text));
    if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return err_no(err, r < 0 ? r : errno, "write the profile");
    return take_fd(&fd);
}

static int run(const char *path, int in, int out, struct err *err)
{
    /* -K: no cache on the disk; -r: replace what another version of us loaded */
    char *const argv[] = {(char *)"apparmor_parser", (char *)"-Kr", NULL};
    char *const env[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    const struct program p = {.path = path,
                              .argv = argv,
                              .env = env,
                              .dir_fd = -1,
                              .in_fd = in,
                              .out_fd = out,
                              .err_fd = out,
                              .timeout_ms = LOAD_MS,
                              .gone_fd = -1};

    return program_run(&p, err);
}

int apparmor_load(const char *text, const char *name, struct err *err)
{
    const char *program = parser();
    char said[OUTPUT_MAX];

    if (!program)
        return err_no(err, ENOENT, "find apparmor_parser to load profile %s with", name);
    auto_close int in = text_file(text, err);
    if (in < 0)
        return in;
    auto_close int out = memfd_create("output", MFD_CLOEXEC);
    if (out < 0)
        return err_sys(err, "make a file for the output");
    int r = run(program, in, out, err);
    if (r >= 0)
        r = apparmor_loaded(name, err);
    if (r != 0)
        return r < 0 ? r : 0;
    ssize_t n = pread(out, said, sizeof(said) - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    return err_invalid(err, "AppArmor profile %s could not be loaded: %s", name, said);
}
