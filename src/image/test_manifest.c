#include "base/test.h"

#include "image/manifest.h"

TEST(chain_ids)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv v = {0};
    char got[DIGEST_LEN + 1], want[DIGEST_LEN + 1];

    strv_push(&a, &v, "sha256:aa");
    strv_push(&a, &v, "sha256:bb");
    chain_id(&v, 1, got);
    CHECK_STR(got, "sha256:aa");
    chain_id(&v, 2, got);
    sha256_of("sha256:aa sha256:bb", 19, want);
    CHECK_STR(got, want);
}
