/* AppArmor, on a kernel that has it. */
#include "kern/apparmor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"

#define REMOVE "/sys/kernel/security/apparmor/.remove"

static void need_apparmor(void)
{
    NEED_ROOT();
    if (!apparmor_enabled())
        SKIP("this kernel confines by no AppArmor");
    if (!apparmor_can_load())
        SKIP("no apparmor_parser");
}

TEST(a_profile_is_loaded_and_found)
{
    struct err e = {0};
    auto_free char *name = xasprintf("cleat-unit-%d", getpid());
    auto_free char *text = xasprintf("profile %s { file, deny /etc/hostname r, }", name);

    need_apparmor();
    CHECK_INT(apparmor_loaded(name, &e), 0);
    CHECK_OK(apparmor_load(text, name, &e));
    CHECK_INT(apparmor_loaded(name, &e), 1);
    name[strlen(name) - 1] = '\0'; /* a beginning is not the name */
    CHECK_INT(apparmor_loaded(name, &e), 0);
    (void)snprintf(text, strlen(name) + 2, "cleat-unit-%d", getpid());
    CHECK_OK(write_value_at(AT_FDCWD, REMOVE, text, &e));
    CHECK_INT(apparmor_loaded(text, &e), 0);
}

TEST(a_bad_profile_is_explained)
{
    struct err e = {0};

    need_apparmor();
    CHECK_INT(apparmor_load("profile cleat-unit-bad { nonsense, }", "cleat-unit-bad", &e), -EINVAL);
    CHECK(strstr(e.msg, "syntax error") != NULL);
}

/* The daemon ignores SIGCHLD: its children leave no exit code. */
TEST(loading_works_where_nobody_reaps)
{
    struct err e = {0};

    need_apparmor();
    (void)signal(SIGCHLD, SIG_IGN);
    CHECK_OK(apparmor_load("profile cleat-unit-x { file, }", "cleat-unit-x", &e));
    CHECK_OK(write_value_at(AT_FDCWD, REMOVE, "cleat-unit-x", &e));
}
