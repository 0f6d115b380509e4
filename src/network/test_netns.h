/* A network namespace for every case that wants one, and commands in it. For tests only. */
#pragma once

#include "base/test.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/str.h"
#include "kern/ip.h"
#include "kern/rtnl.h"

static inline struct ip ip(const char *text)
{
    struct ip i;

    if (ip_parse(text, &i) < 0)
        TEST_FAIL("%s is no address", text);
    return i;
}

static inline void loopback_up(void)
{
    struct err e = {0};

    (void)signal(SIGPIPE, SIG_IGN); /* connections end in many ways here */
    auto_close int nl = rtnl_open(&e);
    CHECK_OK(nl);
    CHECK_OK(rtnl_link_up(nl, rtnl_link_index(nl, "lo", &e), &e));
}

/* For sockets: needs no root. */
static inline void own_netns(void)
{
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        SKIP("cannot make a network namespace");
    loopback_up();
}

/* For links, sysctls and rules; /sys shows them. */
static inline void own_root_netns(void)
{
    NEED_ROOT();
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
        SKIP("cannot make a network namespace: needs CAP_SYS_ADMIN");
    CHECK_INT(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    CHECK_INT(mount("sysfs", "/sys", "sysfs", 0, NULL), 0);
    loopback_up();
}

/* A command of the shell that must succeed. */
PRINTF(1, 2) static inline void run(const char *fmt, ...)
{
    char command[2048];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(command, sizeof(command), fmt, ap);
    va_end(ap);
    fflush(stdout);
    if (system(command) != 0) /* NOLINT(cert-env33-c): fixed commands */
        TEST_FAIL("failed: %s", command);
}

/* What a command says, without the newline at its end; the caller frees it. */
PRINTF(1, 2) static inline char *output_of(const char *fmt, ...)
{
    char command[2048];
    auto_buf struct buf out = BUF_INIT;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(command, sizeof(command), fmt, ap);
    va_end(ap);
    fflush(stdout);
    FILE *f = popen(command, "re"); /* NOLINT(cert-env33-c): fixed commands */
    CHECK(f);
    for (int c; (c = fgetc(f)) != EOF;)
        buf_putc(&out, (char)c);
    (void)pclose(f);
    while (out.len && out.data[out.len - 1] == '\n')
        out.data[--out.len] = '\0';
    return strdup(out.len ? out.data : "");
}

#define CHECK_OUTPUT(want, ...)                                                                    \
    do {                                                                                           \
        auto_free char *out_ = output_of(__VA_ARGS__);                                             \
        CHECK_STR(out_, (want));                                                                   \
    } while (0)
