/* The small pieces: errors, arenas, buffers, strings, time, files, descriptors. */
#include "base/err.h"

#include <errno.h>
#include <time.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/test.h"
#include "base/time.h"

TEST(errors_gather_context_on_the_way_out)
{
    struct err e = {0};

    errno = EACCES;
    int r = err_sys(&e, "open %s", "/data");
    CHECK_INT(err_wrap(&e, r, "start container %s", "web"), -EACCES);
    CHECK_STR(e.msg, "start container web: open /data: Permission denied");
    CHECK_INT(e.kind, ERR_SYSTEM);
    CHECK_INT(err_not_found(NULL, "nobody reads this"), -ENOENT);
}

TEST(an_error_is_never_success)
{
    struct err e = {0};

    CHECK_INT(err_as(&e, ERR_CONFLICT, 0, "a peer that says so"), -EIO);
    CHECK_INT(e.no, EIO);
    CHECK_INT(err_no(&e, 0, "end of file"), -EIO);
    CHECK_INT(err_no(&e, INT_MIN, "nonsense"), -EIO);
    CHECK_INT(err_no(&e, -ENOENT, "open"), -ENOENT);
    CHECK_INT(err_code(&e), -ENOENT);
    CHECK_INT(err_code(NULL), -EIO);
}

TEST(a_long_message_is_cut_on_a_character)
{
    struct err e = {0};
    char text[1100];

    for (size_t i = 0; i + 2 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa4", 3);
    CHECK_INT(err_invalid(&e, "%s", text), -EINVAL);
    CHECK(str_ends(e.msg, "..."));
    CHECK(str_valid_utf8(e.msg, strlen(e.msg)));
}

TEST(arena_arrays_keep_their_elements_as_they_grow)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv v = {0};

    for (int i = 0; i < 1000; i++)
        strv_push(&a, &v, arena_printf(&a, "%d", i));
    CHECK_INT(v.n, 1000);
    CHECK_STR(v.v[0], "0");
    CHECK_STR(v.v[999], "999");
    memset(arena_alloc(&a, 1 << 20), 1, 1 << 20);
    CHECK_STR(v.v[500], "500");
}

TEST(numbers_are_whole_strings)
{
    uint64_t u;
    int64_t i;

    CHECK_INT(str_to_u64("18446744073709551615", &u), 0);
    CHECK(u == UINT64_MAX);
    CHECK_INT(str_to_u64("18446744073709551616", &u), -ERANGE);
    CHECK_INT(str_to_u64("1x", &u), -EINVAL);
    CHECK_INT(str_to_u64("", &u), -EINVAL);
    CHECK_INT(str_to_u64("+1", &u), -EINVAL);
    CHECK_INT(str_to_i64("-9223372036854775808", &i), 0);
    CHECK(i == INT64_MIN);
    CHECK_INT(str_to_i64("-9223372036854775809", &i), -ERANGE);
}

TEST(str_bool)
{
    bool on = false;

    CHECK_INT(str_to_bool("True", &on), 0);
    CHECK(on);
    CHECK_INT(str_to_bool("f", &on), 0);
    CHECK(!on);
    CHECK_INT(str_to_bool("yes", &on), -EINVAL);
    CHECK_INT(str_to_bool("", &on), -EINVAL);
}

TEST(utf8_without_tricks)
{
    CHECK(str_valid_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 10));
    CHECK(!str_valid_utf8("\xc0\xaf", 2));     /* overlong */
    CHECK(!str_valid_utf8("\xed\xa0\x80", 3)); /* surrogate */
    CHECK(!str_valid_utf8("\xf4\x90\x80\x80", 4));
    CHECK(!str_valid_utf8("\xe2\x82", 2));
}

TEST(environment_lists)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv env = {0};

    strv_env_set(&a, &env, "A=1");
    strv_env_set(&a, &env, "AB=2");
    strv_env_set(&a, &env, "A=3");
    CHECK_INT(env.n, 2);
    CHECK_STR(strv_env(&env, "A"), "3");
    CHECK(strv_env(&env, "B") == NULL);
    struct strv parts = str_split(&a, "a,,b", ',');
    CHECK_INT(parts.n, 3);
    CHECK_STR(strv_join(&a, &parts, "-"), "a--b");
}

TEST(times_print_and_parse)
{
    struct err e = {0};
    char out[TIME_TEXT];
    int64_t t;

    CHECK_STR(time_rfc3339(0, out), "0001-01-01T00:00:00Z");
    CHECK_STR(time_rfc3339(1700000000 * NS_PER_S + 120000000, out), "2023-11-14T22:13:20.12Z");
    CHECK_STR(time_rfc3339_fixed(1700000000 * NS_PER_S, out), "2023-11-14T22:13:20.000000000Z");
    CHECK_INT(time_parse_rfc3339("2023-11-14T23:13:20.5+01:00", 27, &t), 0);
    CHECK_INT(t, 1700000000 * NS_PER_S + NS_PER_S / 2);
    CHECK_INT(time_parse_rfc3339("2023-11-14T23:13:20", 19, &t), -EINVAL);
    CHECK_INT(time_parse_rfc3339("0001-01-01T00:00:00Z", 20, &t), 0);
    CHECK_INT(t, 0);
    CHECK_INT(time_parse_rfc3339("1500-01-01T00:00:00Z", 20, &t), -EINVAL);
    CHECK_INT(time_parse_rfc3339("9999-01-01T00:00:00Z", 20, &t), -EINVAL);
    CHECK_OK(time_parse_user("1700000000.25", 0, &t, &e));
    CHECK_INT(t, 1700000000 * NS_PER_S + NS_PER_S / 4);
    CHECK_OK(time_parse_user("10m", 3600 * NS_PER_S, &t, &e));
    CHECK_INT(t, 3000 * NS_PER_S);
    CHECK_OK(time_parse_user("2023-11-14", 0, &t, &e));
    CHECK_INT(time_parse_user("soon", 0, &t, &e), -EINVAL);
    CHECK_INT(duration_parse("1h2m3.5s", &t), 0);
    CHECK_INT(t, 3723 * NS_PER_S + NS_PER_S / 2);
    CHECK_INT(duration_parse("5", &t), -EINVAL);
    CHECK_STR(duration_human(90 * NS_PER_S, out), "About a minute");
    CHECK_STR(duration_human(3 * 3600 * NS_PER_S, out), "3 hours");
}

TEST(dates_are_those_of_the_c_library)
{
    char ours[TIME_TEXT], theirs[TIME_TEXT];

    /* Steps that are no multiple of a day, over all years of four digits. */
    for (int64_t t = -62135596799; t < 253402300799; t += 86400 * 11 + 12345) {
        struct tm tm;
        time_t c = (time_t)t;
        if (t > INT64_MAX / NS_PER_S || t < INT64_MIN / NS_PER_S)
            continue; /* nanoseconds reach from 1677 to 2262 */
        (void)gmtime_r(&c, &tm);
        (void)strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%S.000000007Z", &tm);
        CHECK_STR(time_rfc3339_fixed(t * NS_PER_S + 7, ours), theirs);
    }
    CHECK_STR(time_rfc3339_fixed(951782399 * NS_PER_S, ours), "2000-02-28T23:59:59.000000000Z");
    CHECK_STR(time_rfc3339_fixed(951868799 * NS_PER_S, ours), "2000-02-29T23:59:59.000000000Z");
    CHECK_STR(time_rfc3339_fixed(-1, ours), "1969-12-31T23:59:59.999999999Z");
}

TEST(ids_are_never_numbers)
{
    char id[ID_LEN + 1];

    for (int i = 0; i < 1000; i++) {
        rand_id(id);
        CHECK_INT(strlen(id), ID_LEN);
        CHECK(strspn(id, "0123456789") < 12);
    }
}

TEST(files_are_replaced_whole_and_trees_removed)
{
    struct err e = {0};
    char dir[] = "/tmp/cleat-test-XXXXXX";
    auto_buf struct buf text = BUF_INIT;

    CHECK(mkdtemp(dir));
    auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_OK(mkdir_p_at(fd, "t/a/b/c", 0755, &e));
    CHECK_OK(write_file_at(fd, "t/a/f", 0640, "one", 3, true, &e));
    CHECK_OK(write_file_at(fd, "t/a/f", 0640, "two!", 4, false, &e));
    CHECK_OK(read_file_at(fd, "t/a/f", 100, &text, &e));
    CHECK_STR(text.data, "two!");
    CHECK_INT(read_file_at(fd, "t/a/f", 3, &text, &e), -E2BIG);
    CHECK_INT(symlinkat("/etc", fd, "t/a/link"), 0);
    CHECK_OK(remove_tree_at(fd, "t", &e));
    CHECK_OK(remove_tree_at(fd, "t", &e));
    CHECK_INT(faccessat(fd, "t", F_OK, 0), -1);
    CHECK_INT(access("/etc/passwd", F_OK), 0);
    CHECK_INT(rmdir(dir), 0);
}

/* Far deeper than the stack and the descriptors of a thread would last, with a hook that counts. */
static int count_file(void *ctx, int dir_fd, const char *name, struct err *err)
{
    unsigned *n = ctx;

    (void)dir_fd;
    (void)err;
    *n += strcmp(name, "file") == 0;
    return 0;
}

TEST(a_tree_of_any_depth_is_removed)
{
    struct err e = {0};
    char dir[] = "/tmp/cleat-test-XXXXXX";
    unsigned files = 0;

    CHECK(mkdtemp(dir));
    int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int at = fcntl(top, F_DUPFD_CLOEXEC, 0);
    for (int i = 0; i < 5000; i++) {
        CHECK_INT(mkdirat(at, "deep-0", 0755), 0); /* the name that is used to move things */
        int next = openat(at, "deep-0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(next >= 0);
        (void)close(at);
        at = next;
    }
    CHECK_OK(write_file_at(at, "file", 0644, "x", 1, false, &e));
    (void)close(at);
    CHECK_OK(remove_tree_with(top, "deep-0", count_file, &files, &e));
    CHECK_INT(files, 1);
    CHECK_INT(faccessat(top, "deep-0", F_OK, 0), -1);
    (void)close(top);
    CHECK_INT(rmdir(dir), 0);
}

TEST(descriptors_travel_and_too_many_are_refused)
{
    int pair[2], fds[3] = {0, 1, 2}, got[3];
    size_t n = 3;
    char msg[8];

    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_INT(fds_send(pair[0], "hi", 2, fds, 3), 0);
    CHECK_INT(fds_recv(pair[1], msg, sizeof(msg), got, &n), 2);
    CHECK_INT(n, 3);
    CHECK(fcntl(got[2], F_GETFD) & FD_CLOEXEC);
    for (size_t i = 0; i < n; i++)
        close_fd(&got[i]);
    n = 2;
    CHECK_INT(fds_send(pair[0], "hi", 2, fds, 3), 0);
    CHECK_INT(fds_recv(pair[1], msg, sizeof(msg), got, &n), -EMSGSIZE);
    CHECK_INT(n, 0);
    close_fd(&pair[0]);
    n = 2;
    CHECK_INT(fds_recv(pair[1], msg, sizeof(msg), got, &n), 0);
}

TEST(sizes_from_outside_have_a_limit)
{
    struct err e = {0};

    CHECK(try_alloc(100, 10, &e) == NULL);
    CHECK_INT(e.kind, ERR_INVALID);
    auto_free void *p = try_alloc(10, 10, &e);
    CHECK(p != NULL);
}
