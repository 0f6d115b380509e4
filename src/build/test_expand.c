#include "base/test.h"

#include <errno.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/mem.h"
#include "build/expand.h"

#define BIG (1u << 20)

static char *big; /* value of BIG, for bombs */

static const char *get(void *ctx, const char *name)
{
    static const struct {
        const char *name, *val;
    } vars[] = {
        {"A", "one"},      {"B", "two words"}, {"EMPTY", ""}, {"PATH", "/usr/bin:/bin:/sbin"},
        {"STAR", "a*b?c"}, {"U", "äöü"},       {"D", "$A"},   {"V", "v1.2.3"},
    };

    (void)ctx;
    if (strcmp(name, "BIG") == 0)
        return big;
    for (size_t i = 0; i < sizeof(vars) / sizeof(vars[0]); i++)
        if (strcmp(name, vars[i].name) == 0)
            return vars[i].val;
    return NULL;
}

static char unset_names[256];

static void unset(void *ctx, const char *name)
{
    size_t n = strlen(unset_names);

    (void)ctx;
    (void)snprintf(unset_names + n, sizeof(unset_names) - n, "%s,", name);
}

static const struct expander usual = {.get = get, .escape = '\\', .unset = unset};

static const struct {
    const char *text, *want; /* "!..." is the end of an error's text */
} words[] = {
    {"plain", "plain"},
    {"", ""},
    {"$A", "one"},
    {"${A}", "one"},
    {"x${A}y$A.z", "xoneyone.z"},
    {"$AB", ""},
    {"$A_", ""},
    {"$", "$"},
    {"a$ b", "a$ b"},
    {"$.", "$."},
    {"$1x", "x"},
    {"$@", ""},
    {"$D", "$A"},
    {"$NONE", ""},
    {"${NONE}x", "x"},
    /* quotes and escapes */
    {"'$A'", "$A"},
    {"\"$A\"", "one"},
    {"\"'$A'\"", "'one'"},
    {"'a\"b'", "a\"b"},
    {"\\$A", "$A"},
    {"\\\\$A", "\\one"},
    {"a\\ b", "a b"},
    {"a\\", "a"},
    {"\"a\\nb\\\"c\\$A\\\\\"", "a\\nb\"c$A\\"},
    {"'a\\'", "a\\"},
    {"a  b", "a  b"},
    {"\"a", "!failed to process \"\\\"a\": unexpected end of statement while looking for matching "
            "double-quote"},
    {"'a", "!unexpected end of statement while looking for matching single-quote"},
    /* modifiers */
    {"${NONE:-x}${EMPTY:-y}${A:-z}", "xyone"},
    {"${NONE-x}${EMPTY-y}${A-z}", "xone"},
    {"${NONE:+x}${EMPTY:+y}${A:+z}", "z"},
    {"${NONE+x}${EMPTY+y}${A+z}", "yz"},
    {"${A:?no}${EMPTY?no}", "one"},
    {"${NONE:?is missing}", "!NONE: is missing"},
    {"${NONE?}", "!NONE: is not allowed to be unset"},
    {"${NONE:?}", "!NONE: is not allowed to be unset"},
    {"${EMPTY:?}", "!EMPTY: is not allowed to be empty"},
    {"${NONE:-$A ${B}}", "one two words"},
    {"${NONE:-\"$A}\"}", "one}"},
    {"${NONE:-a\\}b}", "a}b"},
    {"${NONE:-${NONE:-${NONE:-deep}}}", "deep"},
    {"${A:-${NONE:?never}}", "!NONE: never"},
    /* patterns */
    {"${PATH#*/}", "usr/bin:/bin:/sbin"},
    {"${PATH##*/}", "sbin"},
    {"${PATH%/*}", "/usr/bin:/bin:"},
    {"${PATH%%:*}", "/usr/bin"},
    {"${PATH#x}", "/usr/bin:/bin:/sbin"},
    {"${PATH##*}", ""},
    {"${PATH#*}", "/usr/bin:/bin:/sbin"},
    {"${PATH%????}", "/usr/bin:/bin:/"},
    {"${PATH/bin/x}", "/usr/x:/bin:/sbin"},
    {"${PATH//bin/x}", "/usr/x:/x:/sx"},
    {"${PATH//:/ }", "/usr/bin /bin /sbin"},
    {"${PATH//\\//-}", "-usr-bin:-bin:-sbin"},
    {"${PATH/:*/}", "/usr/bin"},
    {"${PATH//b?n/$A}", "/usr/one:/one:/sone"},
    {"${PATH//\"bin\"/x\\/y}", "/usr/x/y:/x/y:/sx/y"},
    {"${STAR#a\\*}", "b?c"},
    {"${STAR%\\?c}", "a*b"},
    {"${U#?}", "öü"},
    {"${U%?}", "äö"},
    {"${U/?/x}", "xöü"},
    {"${V#v}", "1.2.3"},
    {"${V%.*}", "v1.2"},
    {"${V%%.*}", "v1"},
    {"${NONE#a}x", "x"},
    {"${EMPTY/*/x}${EMPTY//x/y}${EMPTY//x*/y}", "x"},
    {"${A//}", "!syntax error: missing '/' in ${}"},
    {"${A#\\x}", "!invalid pattern (\\x) in substitution: invalid escape"},
    /* errors */
    {"${", "!syntax error: missing '}'"},
    {"${A", "!syntax error: missing '}'"},
    {"${A:-x", "!syntax error: missing '}'"},
    {"${}", "!syntax error: bad substitution"},
    {"${:x}", "!syntax error: bad substitution"},
    {"${{A}}", "!syntax error: bad substitution"},
    {"${A^}", "!unsupported modifier (^) in substitution"},
    {"${A:x}", "!unsupported modifier (:x) in substitution"},
    {"${A:}", "!unsupported modifier (:}) in substitution"},
};

static void check_end(const char *got, const char *want)
{
    size_t n = strlen(got), m = strlen(want);

    CHECK_STR(n > m ? got + n - m : got, want);
}

TEST(one_word)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        auto_arena struct arena a = ARENA_INIT;
        struct err e = {0};
        char *got = NULL;
        printf("# %s\n", words[i].text);
        int r = expand_word(&usual, words[i].text, &a, &got, &e);
        if (words[i].want[0] == '!') {
            CHECK_INT(r, -EINVAL);
            check_end(e.msg, words[i].want + 1);
        } else {
            CHECK_STR(r < 0 ? e.msg : got, words[i].want);
        }
    }
}

static const struct {
    const char *text, *want; /* joined by "|" */
} lists[] = {
    {"a b  c", "a|b|c"},
    {"  a ", "a"},
    {"$B", "two|words"},
    {"\"$B\"", "two words"},
    {"'a b' c\\ d", "a b|c d"},
    {"x${B}y", "xtwo|wordsy"},
    {"$EMPTY", ""},
    {"\"\" a", "a"},
    {"${NONE:-a b}", "a|b"},
    {"\"${NONE:-a b}\"", "a b"},
};

TEST(many_words)
{
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        auto_arena struct arena a = ARENA_INIT;
        struct strv v = {0};
        struct err e = {0};
        CHECK_OK(expand_words(&usual, lists[i].text, &a, &v, &e));
        CHECK_STR(strv_join(&a, &v, "|"), lists[i].want);
    }
}

TEST(heredocs_keep_their_quotes)
{
    auto_arena struct arena a = ARENA_INIT;
    struct err e = {0};
    char *got = NULL;

    CHECK_OK(expand_text(&usual, "\"$A\" 'it''s ${B}\n\\$A \\\\ \\\n", &a, &got, &e));
    CHECK_STR(got, "\"one\" 'it''s two words\n$A \\ \n");
}

TEST(another_escape)
{
    auto_arena struct arena a = ARENA_INIT;
    struct expander x = usual;
    struct err e = {0};
    char *got = NULL;

    x.escape = '`';
    CHECK_OK(expand_word(&x, "c:\\$A `$A \"`\"\" `` ${STAR#a`*}", &a, &got, &e));
    CHECK_STR(got, "c:\\one $A \" ` b?c");
}

TEST(unset_names_are_told)
{
    auto_arena struct arena a = ARENA_INIT;
    struct err e = {0};
    char *got = NULL;

    unset_names[0] = '\0';
    CHECK_OK(
        expand_word(&usual, "$X ${Y} ${Z:-1} ${Z+1} $A '$Q' \"$R\" $EMPTY ${N:-$M}", &a, &got, &e));
    CHECK_STR(unset_names, "X,Y,R,M,");
}

/* @text, @n times over, with BIG at @big_len bytes. */
static int bomb(const char *text, size_t n, size_t big_len)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf all = BUF_INIT;
    auto_free char *value = xcalloc(big_len + 1, 1);
    struct strv v = {0};
    struct err e = {0};
    char *got = NULL;

    memset(value, 'a', big_len);
    big = value;
    for (size_t i = 0; i < n; i++)
        buf_puts(&all, text);
    int r = expand_word(&usual, buf_str(&all), &a, &got, &e);
    CHECK_INT(expand_words(&usual, buf_str(&all), &a, &v, &e), r);
    if (r < 0)
        CHECK_INT(e.kind, ERR_INVALID);
    return r;
}

TEST(bombs)
{
    CHECK_INT(bomb("${BIG}", 1, BIG - 1), 0);
    CHECK_INT(bomb("${BIG}${BIG}", 1, BIG - 1), -E2BIG);
    CHECK_INT(bomb("$BIG ", 20000, 1000), -E2BIG);
    CHECK_INT(bomb("${BIG:+}", 100000, BIG - 1), 0);
    CHECK_INT(bomb("${BIG#*b}", 1000, BIG - 1), -E2BIG);
    CHECK_INT(bomb("${BIG##*}", 1000, BIG - 1), -E2BIG);
    CHECK_INT(bomb("${BIG##*a*a*a*a*a*a*a*a*a*b}", 1, 100000), 0);
    CHECK_INT(bomb("${BIG//*a*a*b/x}", 1, BIG - 1), -E2BIG);
    CHECK_INT(bomb("${BIG#$BIG}", 1, BIG - 1), -E2BIG);
    CHECK_INT(bomb("${BIG##${BIG//a/*?}}", 1, 20000), -E2BIG);
    CHECK_INT(bomb("${BIG//a/${BIG}}", 1, 2000), -E2BIG);
    CHECK_INT(bomb("${N:-", 1, 1), -EINVAL);
    CHECK_INT(bomb("${N:-", 100000, 1), -EINVAL);
    CHECK_INT(bomb("\"${N:-", 100000, 1), -EINVAL);
}
