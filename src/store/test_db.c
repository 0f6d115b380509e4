#include "base/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>

#include "base/map.h"
#include "store/build_records.h"
#include "store/containers.h"
#include "store/db.h"
#include "store/networks.h"
#include "store/schema-priv.h"
#include "store/settings.h"
#include "store/volumes.h"

#define S(text) ((char *)(uintptr_t)(text)) /* rows are not const */

static struct db *open_db(const char *path)
{
    struct err e = {0};
    struct db *db = NULL;

    CHECK_OK(db_open(path, &db, &e));
    return db;
}

static char *scratch_file(char out[64])
{
    char dir[] = "/tmp/test_db.XXXXXX";

    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(out, 64, "%s/catalog", dir);
    return out;
}

static void remove_scratch(char *path)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    char name[80];

    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, tails[i]);
        (void)unlink(name);
    }
    *strrchr(path, '/') = '\0';
    CHECK_INT(rmdir(path), 0);
}

/* A catalog as an older program wrote it. */
static void write_fixture(const char *path, int version, const char *extra)
{
    sqlite3 *sql = NULL;
    char pragma[64];

    CHECK_INT(sqlite3_open(path, &sql), SQLITE_OK);
    for (int i = 0; i < version && i < schema_steps_n; i++)
        CHECK_INT(sqlite3_exec(sql, schema_steps[i], NULL, NULL, NULL), SQLITE_OK);
    (void)snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", version);
    CHECK_INT(sqlite3_exec(sql, pragma, NULL, NULL, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_exec(sql, extra, NULL, NULL, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_close(sql), SQLITE_OK);
}

TEST(version_1_is_migrated_and_keeps_its_rows)
{
    struct err e = {0};
    char path[64];
    auto_arena struct arena a = ARENA_INIT;
    struct volume_row v;

    write_fixture(scratch_file(path), 1, "INSERT INTO volume VALUES ('old', '{}', 7)");
    struct db *db = open_db(path);
    CHECK_OK(volume_get(db, "old", &a, &v, &e));
    CHECK_INT(v.created_ns, 7);
    CHECK_OK(db_begin(db, &e));
    CHECK_OK(db_run(db, "SELECT count(*) FROM image", NULL, &e)); /* the newest tables are there */
    db_rollback(db);
    db_close(db);
    db = open_db(path); /* once more, with nothing to do */
    db_close(db);
    remove_scratch(path);
}

TEST(version_2_is_migrated_and_its_layers_can_be_found_by_blob)
{
    struct err e = {0};
    char path[64];
    auto_arena struct arena a = ARENA_INIT;

    write_fixture(scratch_file(path), 2, "INSERT INTO layer VALUES ('sha256:l', 1, 2, 3)");
    struct db *db = open_db(path);
    CHECK_OK(db_begin(db, &e));
    CHECK_INT(db_run(db,
                     "INSERT INTO layer_blob VALUES ('sha256:b', 'sha256:l', 'tar', 1, 0, 0, 0)",
                     NULL, &e),
              1);
    CHECK_INT(db_run(db,
                     "INSERT INTO layer_blob VALUES ('sha256:c', 'sha256:x', 'tar', 1, 0, 0, 0)",
                     NULL, &e),
              -ENOLINK);
    db_rollback(db);
    db_close(db);
    remove_scratch(path);
}

TEST(version_3_is_migrated_and_keeps_no_blob_yet)
{
    static const char rows[] =
        "INSERT INTO layer VALUES ('sha256:l', 1, 2, 3);"
        "INSERT INTO layer_blob VALUES ('sha256:b', 'sha256:l', 'tar', 1, 0);"
        "INSERT INTO image VALUES ('sha256:i', 'sha256:m', NULL, 1, 2, 3, 0);"
        "INSERT INTO tag VALUES ('x:1', 'sha256:i');"
        "INSERT INTO repo_digest VALUES ('x@sha256:m', 'sha256:i');";
    struct err e = {0};
    char path[64];

    write_fixture(scratch_file(path), 3, rows);
    struct db *db = open_db(path);
    CHECK_OK(db_begin(db, &e));
    CHECK_INT(db_run(db, "UPDATE layer_blob SET kept = 1 WHERE kept = 0", NULL, &e), 1);
    CHECK_INT(db_run(db, "UPDATE tag SET manifest = 'sha256:m' WHERE manifest IS NULL", NULL, &e),
              1);
    CHECK_INT(db_run(db, "UPDATE repo_digest SET manifest = 'x' WHERE manifest IS NULL", NULL, &e),
              1);
    CHECK_INT(db_run(db, "INSERT INTO manifest_blob VALUES ('sha256:m', 'sha256:b')", NULL, &e), 1);
    db_rollback(db);
    db_close(db);
    remove_scratch(path);
}

TEST(version_3_is_migrated_and_its_networks_stay)
{
    struct err e = {0};
    char path[64];
    auto_arena struct arena a = ARENA_INIT;
    struct network_rows rows;

    write_fixture(scratch_file(path), 3,
                  "INSERT INTO network VALUES ('n1', 'web', '{}');"
                  "INSERT INTO address VALUES ('n1', '10.0.0.2', 'c1')");
    struct db *db = open_db(path);
    CHECK_OK(network_list(db, &a, &rows, &e));
    CHECK_INT(rows.n, 1);
    db_close(db);
    remove_scratch(path);
}

TEST(version_5_is_migrated_and_its_names_mean_no_index)
{
    static const char rows[] = "INSERT INTO image VALUES ('sha256:i', 'm', NULL, 1, 2, 3, 0);"
                               "INSERT INTO tag VALUES ('x:1', 'sha256:i', 'm');"
                               "INSERT INTO repo_digest VALUES ('x@sha256:m', 'sha256:i', 'm');";
    struct err e = {0};
    char path[64];

    write_fixture(scratch_file(path), 5, rows);
    struct db *db = open_db(path);
    CHECK_OK(db_begin(db, &e));
    CHECK_INT(db_run(db, "UPDATE tag SET idx = 'i' WHERE idx IS NULL AND manifest = 'm'", NULL, &e),
              1);
    CHECK_INT(db_run(db, "UPDATE repo_digest SET idx = 'i' WHERE idx IS NULL", NULL, &e), 1);
    db_rollback(db);
    db_close(db);
    remove_scratch(path);
}

TEST(version_9_is_migrated_and_knows_no_builds)
{
    struct err e = {0};
    char path[64];
    auto_arena struct arena a = ARENA_INIT;
    struct build_record_rows rows = {0};

    write_fixture(scratch_file(path), 9,
                  "INSERT INTO build_cache (key, created, used) VALUES ('sha256:k', 1, 2)");
    struct db *db = open_db(path);
    CHECK_OK(build_record_list(db, &a, &rows, &e));
    CHECK_INT(rows.n, 0);
    CHECK_OK(db_begin(db, &e));
    CHECK_INT(db_run(db, "UPDATE build_cache SET uses = 1 WHERE key = 'sha256:k'", NULL, &e), 1);
    db_rollback(db);
    db_close(db);
    remove_scratch(path);
}

TEST(build_records_are_listed_by_age_and_end_with_the_daemon)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct build_record_rows rows = {0};
    struct build_record_row one = {S("a"), S("running"), S("{}"), 1},
                            two = {S("b"), S("completed"), S("{}"), 2};
    auto_db struct db *db = open_db(":memory:");

    CHECK_OK(build_record_put(db, &one, &e));
    CHECK_OK(build_record_put(db, &two, &e));
    CHECK_OK(build_records_end(db, "running", "error", &e));
    CHECK_OK(build_record_list(db, &a, &rows, &e));
    CHECK_INT(rows.n, 2);
    CHECK_STR(rows.v[0].id, "b");
    CHECK_STR(rows.v[1].status, "error");
    CHECK_OK(build_record_delete(db, "a", &e));
    CHECK_INT(build_record_delete(db, "a", &e), 1);
}

TEST(version_6_is_migrated_and_no_blob_was_made_here)
{
    struct err e = {0};
    char path[64];

    write_fixture(scratch_file(path), 6,
                  "INSERT INTO layer VALUES ('sha256:l', 1, 2, 3);"
                  "INSERT INTO layer_blob VALUES ('sha256:b', 'sha256:l', 'tar', 1, 0, 1);");
    struct db *db = open_db(path);
    CHECK_OK(db_begin(db, &e));
    CHECK_INT(db_run(db, "UPDATE layer_blob SET made = 1 WHERE made = 0 AND kept = 1", NULL, &e),
              1);
    db_rollback(db);
    db_close(db);
    remove_scratch(path);
}

TEST(version_7_is_migrated_and_its_layers_count_as_synced)
{
    struct err e = {0};
    char path[64];

    write_fixture(scratch_file(path), 7, "INSERT INTO layer VALUES ('sha256:a', 1, 2, 3)");
    struct db *db = open_db(path);
    CHECK_INT(db_run_tx(db, "UPDATE layer SET size = 2 WHERE unsynced = 0", NULL, &e), 1);
    CHECK_INT(db_run_tx(db,
                        "INSERT INTO build_cache (key, diff_id, created, used)"
                        " VALUES ('k', 'sha256:a', 1, 1)",
                        NULL, &e),
              1);
    CHECK_INT(db_run_tx(db, "DELETE FROM layer", NULL, &e), 1);
    CHECK_INT(db_run_tx(db, "UPDATE build_cache SET used = 2", NULL, &e), 0); /* gone with it */
    db_close(db);
    remove_scratch(path);
}

TEST(version_8_is_migrated_and_its_indexes_have_no_parts)
{
    struct err e = {0};
    char path[64];

    write_fixture(
        scratch_file(path), 8,
        "INSERT INTO image VALUES ('sha256:i', 'm', NULL, 1, 2, 3, 0);"
        "INSERT INTO tag (name, image, manifest, idx) VALUES ('x:1', 'sha256:i', 'm', 'x');");
    struct db *db = open_db(path);
    CHECK_INT(db_run_tx(db, "INSERT INTO index_part VALUES ('x', 'm')", NULL, &e), 1);
    CHECK_INT(db_run_tx(db, "UPDATE tag SET manifest = 'n' WHERE idx = 'x'", NULL, &e), 1);
    db_close(db);
    remove_scratch(path);
}

TEST(version_of_the_future_is_refused)
{
    struct err e = {0};
    struct db *db = NULL;
    char path[64];

    write_fixture(scratch_file(path), db_schema_version() + 1, "");
    CHECK_INT(db_open(path, &db, &e), -EPROTO);
    CHECK(db == NULL);
    CHECK(strstr(e.msg, "a newer program has written it") != NULL);
    remove_scratch(path);
}

TEST(a_file_that_is_no_catalog_is_refused)
{
    struct err e = {0};
    struct db *db = NULL;
    char path[64];
    FILE *f = fopen(scratch_file(path), "we");

    for (int i = 0; i < 1000; i++)
        fputs("this is no database ", f);
    fclose(f);
    CHECK_INT(db_open(path, &db, &e), -EBADMSG);
    remove_scratch(path);
}

TEST(rows_survive_a_killed_process)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct volume_row v;
    char path[64];

    scratch_file(path);
    pid_t pid = fork();
    if (pid == 0) {
        struct db *db = open_db(path);
        CHECK_OK(volume_insert(db, &(struct volume_row){S("kept"), NULL, 1}, &e));
        CHECK_OK(db_begin(db, &e));
        CHECK_OK(volume_insert(db, &(struct volume_row){S("lost"), NULL, 1}, &e));
        (void)kill(getpid(), SIGKILL);
    }
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    auto_db struct db *db = open_db(path);
    CHECK_OK(volume_get(db, "kept", &a, &v, &e));
    CHECK_INT(volume_get(db, "lost", &a, &v, &e), -ENOENT);
    CHECK_STR(e.msg, "get lost: no such volume");
    remove_scratch(path);
}

TEST(nested_transaction_rolls_back_alone)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct volume_rows rows;
    auto_db struct db *db = open_db(":memory:");

    CHECK_OK(db_begin(db, &e));
    CHECK_OK(volume_insert(db, &(struct volume_row){S("outer"), NULL, 1}, &e));
    CHECK_OK(db_begin(db, &e));
    CHECK_OK(volume_insert(db, &(struct volume_row){S("inner"), NULL, 1}, &e));
    db_rollback(db);
    struct db *tx = db;
    CHECK_OK(db_commit(&tx, &e));
    CHECK(tx == NULL);
    CHECK_OK(volume_list(db, &a, &rows, &e));
    CHECK_INT(rows.n, 1);
    CHECK_STR(rows.v[0].name, "outer");
}

static void *insert_many(void *arg)
{
    struct db *db = ((void **)arg)[0];
    const char *prefix = ((void **)arg)[1];
    struct err e = {0};

    for (int i = 0; i < 200; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%s%d", prefix, i);
        CHECK_OK(db_begin(db, &e));
        CHECK_OK(volume_insert(db, &(struct volume_row){name, NULL, i}, &e));
        struct db *tx = db;
        CHECK_OK(db_commit(&tx, &e));
    }
    return NULL;
}

TEST(threads_take_turns)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct volume_rows rows;
    auto_db struct db *db = open_db(":memory:");
    static const char *const names[] = {"a", "b", "c", "d"};
    void *args[4][2];
    pthread_t t[4];

    for (int i = 0; i < 4; i++) {
        args[i][0] = db;
        args[i][1] = (void *)(uintptr_t)names[i];
        CHECK_INT(pthread_create(&t[i], NULL, insert_many, args[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_join(t[i], NULL), 0);
    CHECK_OK(volume_list(db, &a, &rows, &e));
    CHECK_INT(rows.n, 800);
}

TEST(container_rows)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct container_rows rows;
    struct container_row row = {
        .id = S("aa"), .name = S("web"), .created_ns = 5, .config = S("{}")};
    auto_db struct db *db = open_db(":memory:");

    CHECK_OK(container_insert(db, &row, &e));
    row.id = S("bb");
    CHECK_INT(container_insert(db, &row, &e), -EEXIST);
    CHECK_INT(e.kind, ERR_CONFLICT);
    row.name = S("db");
    CHECK_OK(container_insert(db, &row, &e));
    CHECK_INT(container_set_name(db, "bb", "web", &e), -EEXIST);
    CHECK_OK(container_set_name(db, "aa", "www", &e));
    CHECK_OK(container_set_name(db, "bb", "web", &e));
    CHECK_OK(container_set_state(db, "aa", "{\"s\":1}", &e));
    CHECK_INT(container_set_state(db, "zz", "{}", &e), -ENOENT);
    CHECK_OK(container_list(db, &a, &rows, &e));
    CHECK_INT(rows.n, 2);
    CHECK_STR(rows.v[0].name, "www");
    CHECK_STR(rows.v[0].state, "{\"s\":1}");
    CHECK(rows.v[0].host_config == NULL);
    CHECK_INT(container_delete(db, "aa", &e), 0);
    CHECK_INT(container_delete(db, "aa", &e), 1);
    CHECK_INT(container_get(db, "aa", &a, &row, &e), -ENOENT);
    CHECK_OK(container_get(db, "bb", &a, &row, &e));
    CHECK_INT(row.created_ns, 5);
}

TEST(networks_have_unique_names_and_are_listed_by_them)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct network_rows rows;
    auto_db struct db *db = open_db(":memory:");

    CHECK_OK(network_insert(db, &(struct network_row){S("n1"), S("web"), S("{}")}, &e));
    CHECK_OK(network_insert(db, &(struct network_row){S("n2"), S("db"), S("{}")}, &e));
    CHECK_INT(network_insert(db, &(struct network_row){S("n3"), S("web"), S("{}")}, &e), -EEXIST);
    CHECK_OK(network_set(db, "n1", "{\"a\":1}", &e));
    CHECK_INT(network_set(db, "n3", "{}", &e), -ENOENT);
    CHECK_OK(network_list(db, &a, &rows, &e));
    CHECK_INT(rows.n, 2);
    CHECK_STR(rows.v[0].name, "db");
    CHECK_STR(rows.v[1].json, "{\"a\":1}");
    CHECK_INT(network_delete(db, "n1", &e), 0);
    CHECK_INT(network_delete(db, "n1", &e), 1);
}

TEST(settings_are_set_and_forgotten)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    char *v = NULL;
    auto_db struct db *db = open_db(":memory:");

    CHECK_OK(setting_get(db, "id", &a, &v, &e));
    CHECK(v == NULL);
    CHECK_OK(setting_set(db, "id", "x", &e));
    CHECK_OK(setting_set(db, "id", "y", &e));
    CHECK_OK(setting_get(db, "id", &a, &v, &e));
    CHECK_STR(v, "y");
    CHECK_OK(setting_set(db, "id", NULL, &e));
    CHECK_OK(setting_get(db, "id", &a, &v, &e));
    CHECK(v == NULL);
}

TEST(map_keeps_ten_thousand_keys)
{
    auto_map struct map *m = map_new();
    char key[32];
    intptr_t n = 0;

    for (intptr_t i = 1; i <= 10000; i++) {
        (void)snprintf(key, sizeof(key), "k%ld", (long)i);
        CHECK(map_set(m, key, (void *)i) == NULL);
    }
    for (intptr_t i = 1; i <= 10000; i += 2) {
        (void)snprintf(key, sizeof(key), "k%ld", (long)i);
        CHECK_INT((intptr_t)map_del(m, key), i);
    }
    CHECK_INT(map_count(m), 5000);
    CHECK(map_get(m, "k1") == NULL);
    CHECK_INT((intptr_t)map_get(m, "k2"), 2);
    CHECK_INT((intptr_t)map_set(m, "k2", (void *)77), 2);
    size_t pos = 0;
    while (map_next(m, &pos, NULL, NULL))
        n++;
    CHECK_INT(n, 5000);
}
