#include "base/test.h"

#include <errno.h>

#include "archive/ignore.h"
#include "base/buf.h"
#include "build/check.h"

/* Warnings as lines "3 Rule: message". */
static char *describe(struct arena *a, const struct check_warnings *w)
{
    auto_buf struct buf out = BUF_INIT;

    for (size_t i = 0; i < w->n; i++)
        buf_printf(&out, "%s%u %s: %s", i ? "\n" : "", w->v[i]->line, w->v[i]->rule,
                   w->v[i]->message);
    return arena_strdup(a, buf_str(&out));
}

static void decode(struct arena *a, const char *text, struct dockerfile *d, struct df_program *p)
{
    struct err e = {0};

    CHECK_OK(dockerfile_parse(text, strlen(text), a, d, &e));
    CHECK_OK(program_decode(d, a, p, NULL, &e));
}

/* @in: what else there is; the file is set. */
static char *check_with(struct arena *a, const char *text, struct check_input in)
{
    struct check_warnings w = {0};
    struct check_config c = {0};
    struct dockerfile d = {0};
    struct df_program p = {0};
    struct err e = {0};

    decode(a, text, &d, &p);
    in.file = &d;
    in.program = &p;
    CHECK_OK(check_config_parse(d.check, a, &c, &e));
    check_program(&in, &c, a, &w);
    return describe(a, &w);
}

static const struct {
    const char *text, *want;
} cases[] = {
    {"FROM scratch\n", ""},
    /* StageNameCasing, FromAsCasing */
    {"FROM scratch AS BadName\n", "1 StageNameCasing: Stage name 'BadName' should be lowercase"},
    {"FROM scratch as base\n", "1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match"},
    {"from scratch AS base\n", "1 FromAsCasing: 'AS' and 'from' keywords' casing do not match"},
    {"from scratch as base\n", ""},
    /* NoEmptyContinuation */
    {"FROM scratch\nCOPY a \\\n\n b\nCOPY a \\\nb\n", "4 NoEmptyContinuation: Empty continuation "
                                                      "line"},
    {"FROM scratch\nCOPY a \\\n# c\n b\n", ""},
    /* ConsistentInstructionCasing */
    {"From scratch as base\nFROM scratch AS b2\n",
     "1 ConsistentInstructionCasing: Command 'From' should match the case of the command majority "
     "(uppercase)"},
    {"from scratch\ncopy a /a\nCOPY a /b\n",
     "3 ConsistentInstructionCasing: Command 'COPY' should match the case of the command majority "
     "(lowercase)"},
    {"arg X\nFROM scratch\n", ""},
    {"from scratch\ncopy a /a\n", ""},
    /* DuplicateStageName, ReservedStageName */
    {"FROM scratch AS b\nFROM scratch AS b\n",
     "2 DuplicateStageName: Duplicate stage name \"b\", stage names should be unique"},
    {"FROM scratch AS b1\nFROM scratch AS b2\n", ""},
    {"FROM scratch AS scratch\nFROM scratch AS context\n",
     "1 ReservedStageName: Stage name should not use the same name as reserved stage \"scratch\"\n"
     "2 ReservedStageName: Stage name should not use the same name as reserved stage \"context\""},
    /* JSONArgsRecommended */
    {"FROM scratch\nCMD a\n", "2 JSONArgsRecommended: JSON arguments recommended for CMD to "
                              "prevent unintended behavior related to OS signals"},
    {"FROM scratch\nENTRYPOINT a\n",
     "2 JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended "
     "behavior related to OS signals"},
    {"FROM scratch\nCMD [\"a\"]\n", ""},
    {"FROM scratch AS b\nSHELL [\"x\"]\nCMD a\nFROM b\nENTRYPOINT c\n", ""},
    /* MaintainerDeprecated */
    {"FROM scratch\nMAINTAINER me\n", "2 MaintainerDeprecated: Maintainer instruction is "
                                      "deprecated in favor of using label"},
    /* UndefinedArgInFrom */
    {"ARG base=scratch\nFROM $base\n", ""},
    {"ARG D\nFROM scratch${D}\n", ""},
    {"ARG D\nFROM scra${D:-tch}\n", ""},
    {"FROM --platform=$BUILDPLATFORM scratch\n", ""},
    {"FROM --platform=$BULIDPLATFORM scratch\n",
     "1 UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean "
     "BUILDPLATFORM?)"},
    {"ARG tag=latest\nFROM busybox:${tag}${version} AS b\n",
     "2 UndefinedArgInFrom: FROM argument 'version' is not declared"},
    /* WorkdirRelativePath */
    {"FROM scratch\nWORKDIR app/\n",
     "2 WorkdirRelativePath: Relative workdir \"app/\" can have unexpected results if the base "
     "image changes"},
    {"FROM scratch AS a\nWORKDIR /app\nFROM a\nWORKDIR sub\n", ""},
    {"FROM scratch\nENV D=/x\nWORKDIR $D\nWORKDIR y\n", ""},
    {"FROM alpine\nWORKDIR $UNKNOWN\n", ""},
    /* UndefinedVar */
    {"FROM scratch\nARG foo\nCOPY Dockerfile${foo} .\n", ""},
    {"FROM scratch AS base\nARG foo=a\nFROM base\nCOPY $foo .\n", ""},
    {"FROM scratch\nCOPY $foo .\nARG foo=bar\nRUN echo $foo $other\n",
     "2 UndefinedVar: Usage of undefined variable '$foo'"},
    {"FROM scratch\nARG DIR_BINARIES=b\nARG DIR_ASSETS=a\nCOPY $DIR_ASSET $DIR_ASSET .\n",
     "4 UndefinedVar: Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?)"},
    {"FROM scratch\nENV PATH=$PAHT:/tmp\n",
     "2 UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?)"},
    {"FROM scratch\nENV A=1 B=$A\n", "2 UndefinedVar: Usage of undefined variable '$A'"},
    {"FROM scratch\nENV A=1\nENV B=$A\nLABEL x=$B\nUSER $A\nEXPOSE $A\nVOLUME $B\n", ""},
    {"FROM scratch\nCOPY <<E /x\n$a\nE\nCOPY <<'E' /x\n$b\nE\n",
     "2 UndefinedVar: Usage of undefined variable '$a'"},
    {"FROM scratch\nRUN --mount=type=cache,target=$x echo $y\n",
     "2 UndefinedVar: Usage of undefined variable '$x'"},
    {"FROM scratch\nCOPY ${a:-b} ${c+d} .\n", ""},
    {"ARG g=1\nFROM scratch\nCOPY $g .\n", "3 UndefinedVar: Usage of undefined variable '$g'"},
    {"ARG g=1\nFROM scratch\nARG g\nCOPY $g .\n", ""},
    {"FROM alpine\nCOPY $of_the_image .\n", ""},
    /* MultipleInstructionsDisallowed */
    {"FROM scratch\nCMD [\"a\"]\nUSER x\nCMD [\"b\"]\n",
     "2 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same "
     "stage because only the last one will be used"},
    {"FROM scratch\nENTRYPOINT [\"a\"]\nENTRYPOINT [\"b\"]\nHEALTHCHECK NONE\nHEALTHCHECK NONE\n",
     "2 MultipleInstructionsDisallowed: Multiple ENTRYPOINT instructions should not be used in the "
     "same stage because only the last one will be used\n"
     "4 MultipleInstructionsDisallowed: Multiple HEALTHCHECK instructions should not be used in "
     "the same stage because only the last one will be used"},
    {"FROM scratch AS a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]\n", ""},
    /* LegacyKeyValueFormat */
    {"FROM scratch\nENV a b\nLABEL c d\n",
     "2 LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" "
     "format\n3 LegacyKeyValueFormat: \"LABEL key=value\" should be used instead of legacy \"LABEL "
     "key value\" format"},
    {"FROM scratch\nENV a=b\nLABEL c=d\n", ""},
    /* RedundantTargetPlatform, FromPlatformFlagConstDisallowed */
    {"FROM --platform=${TARGETPLATFORM} scratch\n",
     "1 RedundantTargetPlatform: Setting platform to predefined ${TARGETPLATFORM} in FROM is "
     "redundant as this is the default behavior"},
    {"FROM --platform=$TARGETOS/arm64 scratch\n", ""},
    {"FROM --platform=linux/amd64 scratch\n",
     "1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "
     "\"linux/amd64\""},
    {"FROM --platform=linux/amd64 scratch AS my_amd64_stage\n", ""},
    {"FROM --platform=linux/amd64 scratch AS linux\n", ""},
    {"FROM --platform=$BUILDPLATFORM scratch\n", ""},
    /* SecretsUsedInArgOrEnv */
    {"FROM scratch\nARG SECRET_PASSPHRASE\nENV SUPER_Secret=foo\n",
     "2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "
     "\"SECRET_PASSPHRASE\")\n3 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for "
     "sensitive data (ENV \"SUPER_Secret\")"},
    {"FROM scratch\nENV apikey=bar sunflower=foo\n",
     "2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "
     "\"apikey\")"},
    {"FROM scratch\nENV PUBLIC_KEY=\nARG public_token KEY_FILE\nENV monkey=1 secretive=2\n", ""},
    /* InvalidDefaultArgInFrom */
    {"ARG V\nFROM busybox:$V\n", "2 InvalidDefaultArgInFrom: Default value for ARG busybox:$V "
                                 "results in empty or invalid base image name"},
    {"ARG SFX=\"box:\"\nFROM busy${SFX}\n",
     "2 InvalidDefaultArgInFrom: Default value for ARG busy${SFX} results in empty or invalid base "
     "image name"},
    {"ARG V=\"latest\"\nFROM busybox:${V}\n", ""},
    {"ARG V\nFROM busybox:stable${V}\n", ""},
    /* ExposeProtoCasing, ExposeInvalidFormat */
    {"FROM scratch\nEXPOSE 80/TcP 81/udp\n",
     "2 ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase"},
    {"FROM scratch\nEXPOSE 127.0.0.1:80:80\n",
     "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port "
     "mapping, found '127.0.0.1:80:80'"},
    {"FROM scratch\nENV P=5000\nEXPOSE ${P}:80\n",
     "3 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port "
     "mapping, found '5000:80'"},
    {"FROM scratch\nEXPOSE 80 8000-8010/udp\n", ""},
    /* InvalidDefinitionDescription is off unless it is asked for */
    {"# what\nFROM scratch AS base\n", ""},
    {"# check=experimental=InvalidDefinitionDescription\n# bar is the bar\nARG foo=bar\n"
     "# BasE is the image\nFROM scratch AS base\n# bad comment\nARG foo=baz bar=qux\n",
     "3 InvalidDefinitionDescription: Comment for ARG should follow the format: `# foo "
     "<description>`\n"
     "5 InvalidDefinitionDescription: Comment for FROM should follow the format: `# base "
     "<description>`\n"
     "7 InvalidDefinitionDescription: Comment for ARG should follow the format: `# <arg_key> "
     "<description>`"},
    {"# check=experimental=all\n# foo is foo\nARG foo=bar\n\n# other\n# base is it\n"
     "FROM scratch AS base\n# baz is baz\nARG foo=baz baz=1\n#\nARG bit=bat\n# copies\nCOPY a .\n"
     "# an image\nFROM scratch\n",
     ""},
    /* configuration */
    {"# check=skip=all\nFrom scratch as B\n", ""},
    {"#check=skip=FromAsCasing,StageNameCasing\nFROM scratch as B\n", ""},
    {"#check=skip=FromAsCasing\nFROM scratch as B\n",
     "2 StageNameCasing: Stage name 'B' should be lowercase"},
    {"# check=skip=all;experimental=InvalidDefinitionDescription\n# x\nFROM scratch as B\n",
     "3 InvalidDefinitionDescription: Comment for FROM should follow the format: `# b "
     "<description>`"},
};

TEST(each_rule)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        auto_arena struct arena a = ARENA_INIT;
        printf("# %zu\n", i);
        CHECK_STR(check_with(&a, cases[i].text, (struct check_input){0}), cases[i].want);
    }
}

static char *with_ignore(struct arena *a, const char *patterns, const char *text)
{
    struct check_input in = {0};
    struct ignore *ig = NULL;
    struct err e = {0};

    CHECK_OK(ignore_parse(patterns, strlen(patterns), a, &ig, &e));
    in.ignore = ig;
    return check_with(a, text, in);
}

TEST(copied_files_that_are_ignored)
{
    auto_arena struct arena a = ARENA_INIT;
    static const char text[] = "FROM scratch AS b\nENV N=file\nCOPY Docker$N .\nADD ./Dockerfile "
                               "/x\nADD https://x/Dockerfile /\nFROM b\nCOPY --from=b Dockerfile .";

    CHECK_STR(with_ignore(&a, "Dockerfile\n", text),
              "3 CopyIgnoredFile: Attempting to Copy file \"Dockerfile\" that is excluded by "
              ".dockerignore\n4 CopyIgnoredFile: Attempting to Add file \"Dockerfile\" that is "
              "excluded by .dockerignore");
    CHECK_STR(with_ignore(&a, "foobar\n", text), "");
    CHECK_STR(with_ignore(&a, "*\n!x\n", text), "");
}

static const struct strv *known_env(void *ctx, const struct df_stage *stage)
{
    CHECK_STR(stage->from->from.image, "alpine");
    return ctx;
}

TEST(variables_of_the_base_image)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv env = {0};
    struct check_input in = {.base_env = known_env, .ctx = &env};

    strv_push(&a, &env, "JAVA_HOME=/java");
    CHECK_STR(
        check_with(&a, "FROM alpine AS a\nFROM a\nCOPY x $JAVA_HOME\nWORKDIR $JAVA_HOME\n", in),
        "");
    CHECK_STR(check_with(&a, "FROM alpine\nCOPY x $JAVAHOME\n", in),
              "2 UndefinedVar: Usage of undefined variable '$JAVAHOME' (did you mean $JAVA_HOME?)");
}

TEST(build_arguments)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strmap args = {0};
    struct check_input in = {.build_args = &args};

    strmap_set(&a, &args, "V", "latest");
    strmap_set(&a, &args, "D", "/x");
    CHECK_STR(check_with(&a, "ARG V\nFROM scratch\nARG D=y\nWORKDIR $D\n", in), "");
    CHECK_STR(check_with(&a, "ARG V\nFROM busybox:$V\n", in),
              "2 InvalidDefaultArgInFrom: Default value for ARG busybox:$V results in empty or "
              "invalid base image name");
}

TEST(only_stages_of_the_target)
{
    auto_arena struct arena a = ARENA_INIT;
    static const char text[] = "FROM scratch AS one\nENV a b\nFROM scratch AS two\nENV c d\n"
                               "FROM scratch AS three\nENV e f\nFROM one AS four\n"
                               "COPY --from=2 x y\n";
    static const char legacy[] = "LegacyKeyValueFormat: \"ENV key=value\" should be used instead "
                                 "of legacy \"ENV key value\" format";
    struct check_input in = {0};

    CHECK_STR(check_with(&a, text, in),
              arena_printf(&a, "2 %s\n4 %s\n6 %s", legacy, legacy, legacy));
    in.target = "FOUR";
    CHECK_STR(check_with(&a, text, in), arena_printf(&a, "2 %s\n6 %s", legacy, legacy));
    in.target = "two";
    CHECK_STR(check_with(&a, text, in), arena_printf(&a, "4 %s", legacy));
    in.target = "0";
    CHECK_STR(check_with(&a, text, in), arena_printf(&a, "2 %s", legacy));
}

TEST(the_platform_of_a_base_image)
{
    auto_arena struct arena a = ARENA_INIT;
    struct check_config c = {0};
    struct check_warnings w = {0};
    struct dockerfile d = {0};
    struct df_program p = {0};

    decode(&a, "FROM x", &d, &p);
    check_base_platform(p.stages.v[0]->from, "x", "linux/amd64", "linux/amd64", &c, &a, &w);
    CHECK_INT(w.n, 0);
    check_base_platform(p.stages.v[0]->from, "x", "linux/arm64", "linux/amd64", &c, &a, &w);
    CHECK_STR(describe(&a, &w),
              "1 InvalidBaseImagePlatform: Base image x was pulled with platform \"linux/arm64\", "
              "expected \"linux/amd64\" for current build");
    CHECK_STR(w.v[0]->url, "");
}

TEST(words_of_a_rule)
{
    auto_arena struct arena a = ARENA_INIT;
    struct check_config c = {0};
    struct check_warnings w = {0};
    struct dockerfile d = {0};
    struct df_program p = {0};

    decode(&a, "FROM scratch \\\n AS B", &d, &p);
    check_program(&(struct check_input){.file = &d, .program = &p}, &c, &a, &w);
    CHECK_INT(w.n, 1);
    CHECK_INT(w.v[0]->line, 1);
    CHECK_INT(w.v[0]->end_line, 2);
    CHECK_STR(w.v[0]->description, "Stage names should be lowercase");
    CHECK_STR(w.v[0]->url, "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/");
}

TEST(warnings_as_errors)
{
    auto_arena struct arena a = ARENA_INIT;
    struct check_config c = {0};
    struct check_warnings w = {0}, none = {0};
    struct dockerfile d = {0};
    struct df_program p = {0};
    struct err e = {0};

    decode(&a, "FROM scratch as B\nFROM scratch as C\nCMD a", &d, &p);
    check_program(&(struct check_input){.file = &d, .program = &p}, &c, &a, &w);
    CHECK_INT(check_error(&w, &c, &e), 0);
    CHECK_OK(check_config_parse(" error = true ", &a, &c, &e));
    CHECK_INT(check_error(&none, &c, &e), 0);
    CHECK_INT(check_error(&w, &c, &e), -EINVAL);
    CHECK_STR(e.msg, "lint violation found for rules: StageNameCasing, FromAsCasing, "
                     "JSONArgsRecommended");
}

static char *config(struct arena *a, const char *text)
{
    struct check_config c = {0};
    struct err e = {0};

    if (check_config_parse(text, a, &c, &e) < 0)
        return arena_strdup(a, e.msg);
    return arena_printf(a, "%d%d%d %s|%s", c.skip_all, c.error, c.experimental_all,
                        strv_join(a, &c.skip, ","), strv_join(a, &c.experimental, ","));
}

TEST(configuration)
{
    auto_arena struct arena a = ARENA_INIT;

    CHECK_STR(config(&a, NULL), "000 |");
    CHECK_STR(config(&a, " "), "000 |");
    CHECK_STR(config(&a, "skip=all;error=1;experimental=all"), "111 |");
    CHECK_STR(config(&a, "skip= A , B;experimental=C"), "000 A,B|C");
    CHECK_STR(config(&a, "error=x"), "failed to parse check option \"error=x\": "
                                     "strconv.ParseBool: parsing \"x\": invalid syntax");
    CHECK_STR(config(&a, "skip"), "invalid check option \"skip\"");
    CHECK_STR(config(&a, "what=1"), "invalid check option \"what\"");
}

TEST(warnings_have_a_limit)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    struct check_config c = {0};
    struct check_warnings w = {0};
    struct dockerfile d = {0};
    struct df_program p = {0};

    buf_puts(&text, "FROM scratch\n");
    for (size_t i = 0; i < 10000; i++)
        buf_printf(&text, "ENV a%zu $b%zu\n", i, i);
    decode(&a, buf_str(&text), &d, &p);
    check_program(&(struct check_input){.file = &d, .program = &p}, &c, &a, &w);
    CHECK_INT(w.n, CHECK_WARNINGS_MAX);
}
