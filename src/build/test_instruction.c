#include "base/test.h"

#include <errno.h>

#include "base/buf.h"
#include "build/instruction.h"

/* ---- instructions as text ---- */

static void put_str(struct buf *out, const char *name, const char *val)
{
    if (val)
        buf_printf(out, " %s=%s", name, val);
}

static void put_list(struct buf *out, const char *name, const struct strv *v)
{
    buf_printf(out, " %s[", name);
    for (size_t i = 0; i < v->n; i++)
        buf_printf(out, "%s%s", i ? "|" : "", v->v[i]);
    buf_putc(out, ']');
}

static void put_num(struct buf *out, const char *name, int64_t val)
{
    if (val >= 0)
        buf_printf(out, " %s=%lld", name, (long long)val);
}

static void put_command(struct buf *out, const struct ins_command *c)
{
    if (c->shell)
        buf_printf(out, " <%s>", c->text);
    else
        put_list(out, "", &c->argv);
}

static void put_mount(struct buf *out, const struct ins_mount *m)
{
    static const char *const types[] = {"bind", "cache", "tmpfs", "secret", "ssh"};
    static const char *const sharing[] = {"", " private", " locked"};

    buf_printf(out, " {%s%s%s%s", types[m->type], m->readonly ? " ro" : "",
               m->required ? " required" : "", sharing[m->sharing]);
    put_str(out, "target", m->target);
    put_str(out, "source", m->source);
    put_str(out, "from", m->from);
    put_str(out, "id", m->id);
    put_str(out, "env", m->env);
    put_num(out, "size", m->size_b ? m->size_b : -1);
    put_num(out, "mode", m->mode);
    put_num(out, "uid", m->uid);
    put_num(out, "gid", m->gid);
    buf_putc(out, '}');
}

static void put_run(struct buf *out, const struct ins_run *r)
{
    for (size_t i = 0; i < r->mounts.n; i++)
        put_mount(out, r->mounts.v[i]);
    put_str(out, "network", r->network);
    put_str(out, "security", r->security);
    if (r->devices.n)
        put_list(out, "devices", &r->devices);
    put_command(out, &r->cmd);
    if (r->script)
        buf_puts(out, " script");
}

static void put_copy(struct buf *out, const struct ins_copy *c)
{
    put_str(out, "from", c->from);
    put_str(out, "chown", c->chown);
    put_str(out, "chmod", c->chmod);
    put_str(out, "checksum", c->checksum);
    buf_printf(out, "%s%s%s", c->link ? " link" : "", c->parents ? " parents" : "",
               c->keep_git_dir ? " git" : "");
    put_num(out, "unpack", c->unpack);
    if (c->exclude.n)
        put_list(out, "exclude", &c->exclude);
    put_list(out, "", &c->sources);
    buf_printf(out, " %s", c->dest);
}

static void put_pairs(struct buf *out, const struct ins *ins)
{
    for (size_t i = 0; i < ins->pairs.pairs.n; i++) {
        const struct ins_pair *p = &ins->pairs.pairs.v[i];
        buf_printf(out, " %s%s<%s>", p->key, p->val ? "=" : "", p->val ? p->val : "");
    }
    if (ins->pairs.legacy)
        buf_puts(out, " legacy");
}

static void put_health(struct buf *out, const struct oci_image_health *h)
{
    put_list(out, "", &h->test);
    buf_printf(out, " %lld %lld %lld %lld %lld", (long long)h->interval_ns,
               (long long)h->timeout_ns, (long long)h->start_period_ns,
               (long long)h->start_interval_ns, (long long)h->retries);
}

static void put_from(struct buf *out, const struct ins *ins)
{
    buf_printf(out, " %s", ins->from.image);
    put_str(out, "as", ins->from.name);
    put_str(out, "platform", ins->from.platform);
}

static void put_ins(struct buf *out, const struct ins *ins)
{
    buf_puts(out, ins_name(ins->op));
    switch (ins->op) {
    case INS_ADD:
    case INS_COPY:
        return put_copy(out, &ins->copy);
    case INS_ARG:
    case INS_ENV:
    case INS_LABEL:
        return put_pairs(out, ins);
    case INS_CMD:
    case INS_ENTRYPOINT:
        return put_command(out, &ins->command);
    case INS_EXPOSE:
    case INS_SHELL:
    case INS_VOLUME:
        return put_list(out, "", &ins->words);
    case INS_FROM:
        return put_from(out, ins);
    case INS_HEALTHCHECK:
        return put_health(out, &ins->health);
    case INS_MAINTAINER:
    case INS_STOPSIGNAL:
    case INS_USER:
    case INS_WORKDIR:
        return buf_printf(out, " <%s>", ins->word);
    case INS_ONBUILD:
        buf_printf(out, " <%s> ", ins->onbuild.text);
        return put_ins(out, ins->onbuild.ins);
    case INS_RUN:
        return put_run(out, &ins->run);
    }
}

static char *decode(struct arena *a, const char *text)
{
    auto_buf struct buf out = BUF_INIT;
    struct ins *ins = NULL;
    struct err e = {0};

    if (ins_decode(text, a, &ins, &e) < 0)
        return arena_strdup(a, e.msg);
    put_ins(&out, ins);
    return arena_strdup(a, buf_str(&out));
}

/* ---- what each makes of its text ---- */

struct text_case {
    const char *text, *want;
};

static void check(const struct text_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        auto_arena struct arena a = ARENA_INIT;
        printf("# %zu\n", i);
        CHECK_STR(decode(&a, cases[i].text), cases[i].want);
    }
}
#define CHECK_CASES(cases) check(cases, sizeof(cases) / sizeof((cases)[0]))

static const struct text_case froms[] = {
    {"FROM alpine", "FROM alpine"},
    {"from alpine:3 as Base", "FROM alpine:3 as=base"},
    {"FROM --platform=$BUILDPLATFORM a AS b_1.x-y", "FROM a as=b_1.x-y platform=$BUILDPLATFORM"},
    {"FROM", "FROM requires either one or three arguments"},
    {"FROM a b", "FROM requires either one or three arguments"},
    {"FROM a AS", "FROM requires either one or three arguments"},
    {"FROM a BS c", "FROM requires either one or three arguments"},
    {"FROM a AS 1", "invalid name for build stage: \"1\", name can't start with a number or "
                    "contain symbols"},
    {"FROM a AS b/c", "invalid name for build stage: \"b/c\", name can't start with a number or "
                      "contain symbols"},
    {"FROM --plattform=x a", "unknown flag: --plattform (did you mean platform?)"},
    {"FROM --platform a", "missing a value on flag: --platform"},
};

TEST(from)
{
    CHECK_CASES(froms);
}

static const struct text_case runs[] = {
    {"RUN echo hi", "RUN <echo hi>"},
    {"RUN", "RUN <>"},
    {"RUN [\"a\", \"b c\"]", "RUN [a|b c]"},
    {"RUN [\"a\", 'b']", "RUN <[\"a\", 'b']>"},
    {"RUN [ \"a\" ] && b", "RUN <[ \"a\" ] && b>"},
    {"RUN [1]", "when using JSON array syntax, arrays must be comprised of strings only"},
    {"RUN --network=host --security=insecure --device=a --device=b x",
     "RUN network=host security=insecure devices[a|b] <x>"},
    {"RUN --security=sandbox --network=none x", "RUN network=none security=sandbox <x>"},
    {"RUN --network=hots x", "unsupported network mode \"hots\" (did you mean host?)"},
    {"RUN --security=x y", "security \"x\" is not valid"},
    {"RUN --network=host --network=none x", "duplicate flag specified: --network"},
    {"RUN --bad x", "unknown flag: --bad"},
    {"RUN -- --x", "RUN <--x>"},
    {"RUN <<EOF\na\nb\nEOF", "RUN <a\nb\n>"},
    {"RUN <<EOF\n#!/bin/x\nb\nEOF", "RUN <#!/bin/x\nb\n> script"},
    {"RUN <<EOF\n\n#!/bin/x\nEOF", "RUN <\n#!/bin/x\n>"},
    {"RUN <<EOF cat -\na\nEOF", "RUN <<<EOF cat -\na\nEOF>"},
    {"RUN <<A cat <<B\n1\nA\n2\nB", "RUN <<<A cat <<B\n1\nA\n2\nB>"},
    {"RUN --network=none <<-E\n\ta\n\tE", "RUN network=none <a\n>"},
    {"RUN 3<<E\na\nE", "RUN <3<<E\na\nE>"},
};

TEST(run_commands)
{
    CHECK_CASES(runs);
}

static const struct text_case mounts[] = {
    {"target=/x", "RUN {bind ro target=/x} <c>"},
    {"type=bind,rw,dst=x,src=/a,from=b", "RUN {bind target=x source=/a from=b} <c>"},
    {"ro=false,destination=/x", "RUN {bind target=/x} <c>"},
    {"readwrite=0,target=/x", "RUN {bind ro target=/x} <c>"},
    {"type=cache,target=/c", "RUN {cache target=/c} <c>"},
    {"TYPE=Cache,target=/c,ID=i,Sharing=LOCKED,mode=0750,uid=1,gid=2,readonly,from=s,source=/y",
     "RUN {cache ro locked target=/c source=/y from=s id=i mode=488 uid=1 gid=2} <c>"},
    {"type=cache,target=/c,sharing=private", "RUN {cache private target=/c} <c>"},
    {"type=tmpfs,target=/t,size=1k", "RUN {tmpfs target=/t size=1024} <c>"},
    {"type=secret,id=a,required,env=X", "RUN {secret ro required id=a env=X} <c>"},
    {"type=secret,source=a,target=/s,mode=400", "RUN {secret ro target=/s id=a mode=256} <c>"},
    {"type=ssh,required=true", "RUN {ssh ro required} <c>"},
    {"type=cache,target=/c$X,mode=$M", "RUN <c>"},
    {"type=x", "unsupported mount type \"x\""},
    {"type=cashe", "unsupported mount type \"cashe\" (did you mean cache?)"},
    {"type=cache,sharing=x", "unsupported sharing value \"x\""},
    {"sharing=locked", "invalid cache sharing set for bind mount"},
    {"targt=/x", "unexpected key 'targt' in 'targt=/x' (did you mean target?)"},
    {"target", "invalid field 'target' must be a key=value pair"},
    {"", "invalid field '' must be a key=value pair"},
    {"rw=x", "invalid value for rw: x"},
    {"required", "unexpected key 'required' for mount type 'bind'"},
    {"size=1", "unexpected key 'size' for mount type 'bind'"},
    {"env=X", "unexpected key 'env' for mount type 'bind'"},
    {"type=tmpfs,size=x", "invalid value for size: x"},
    {"type=cache,mode=8", "invalid value 8 for mode"},
    {"type=cache,mode=", "invalid value  for mode"},
    {"type=cache,uid=-1", "invalid value -1 for uid"},
    {"type=cache,gid=4294967296", "invalid value 4294967296 for gid"},
    {"mode=1", "mode not allowed for \"bind\" type mounts"},
    {"uid=1", "uid not allowed for \"bind\" type mounts"},
    {"type=tmpfs,gid=1", "gid not allowed for \"tmpfs\" type mounts"},
    {"type=secret", "invalid secret mount. one of source, target required"},
    {"type=secret,id=a,from=b", "secret mount should not have a from"},
    {"type=secret,id=a,sharing=shared", "secret mount should not define sharing"},
    {"type=secret,id=a,source=b", "both source and id can't be set"},
    {"from=$X", "'from' doesn't support variable expansion, define alias stage instead"},
    {"\\\"target=/a,b\\\",rw", "RUN {bind target=/a,b} <c>"},
    {"\\\"target=/a\\\"\\\"b\\\"", "RUN {bind ro target=/a\"b} <c>"},
    {"\\\"target=/a", "failed to parse csv mounts: bad quotes in \"target=/a"},
    {"target=/a\\\"", "failed to parse csv mounts: bad quotes in target=/a\""},
};

TEST(run_mount)
{
    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        auto_arena struct arena a = ARENA_INIT;
        const char *text = arena_printf(&a, "RUN --mount=%s c", mounts[i].text);
        printf("# %s\n", text);
        CHECK_STR(decode(&a, text), mounts[i].want);
    }
}

static const struct text_case copies[] = {
    {"COPY a b", "COPY [a] b"},
    {"COPY a b /c/", "COPY [a|b] /c/"},
    {"COPY [\"a b\", \"/c d\"]", "COPY [a b] /c d"},
    {"COPY --link --from=x --chown=1:2 --chmod=755 a b",
     "COPY from=x chown=1:2 chmod=755 link [a] b"},
    {"COPY --chmod=u=rwX,go= --parents --exclude=*.a --exclude=*.b --link=false a b",
     "COPY chmod=u=rwX,go= parents exclude[*.a|*.b] [a] b"},
    {"ADD --keep-git-dir=true --checksum=sha256:x --unpack=false u /",
     "ADD checksum=sha256:x git unpack=0 [u] /"},
    {"ADD --unpack u /", "ADD unpack=1 [u] /"},
    {"COPY <<EOF /x\nhi\nEOF", "COPY [] /x"},
    {"COPY a <<EOF b /x\nhi\nEOF", "COPY [a|b] /x"},
    {"COPY --chown=1 <<'A' <<-B /x/\n1\nA\n\tB", "COPY chown=1 [] /x/"},
    {"COPY a <<EOF\nEOF", "COPY cannot accept a heredoc as a destination"},
    {"COPY [\"<<EOF\", \"x\"]", "COPY [<<EOF] x"},
    {"COPY", "COPY requires at least two arguments, but only one was provided. Destination could "
             "not be determined"},
    {"COPY a", "COPY requires at least two arguments, but only one was provided. Destination could "
               "not be determined"},
    {"ADD [\"a\"]", "ADD requires at least two arguments, but only one was provided. Destination "
                    "could not be determined"},
    {"COPY [1] a", "COPY [[1]] a"},
    {"COPY [1]", "when using JSON array syntax, arrays must be comprised of strings only"},
    {"COPY --checksum=x a b", "unknown flag: --checksum"},
    {"COPY --form=x a b", "unknown flag: --form (did you mean from?)"},
    {"ADD --from=x a b", "unknown flag: --from"},
    {"COPY --link=x a b", "expecting boolean value for flag --link, not: x"},
    {"COPY --link= a b", "missing a value on flag: --link"},
    {"COPY --chown a b", "missing a value on flag: --chown"},
    {"COPY --link --link a b", "duplicate flag specified: --link"},
    {"ADD --checksum=x a b c", "checksum can't be specified for multiple sources"},
};

TEST(copy_and_add)
{
    CHECK_CASES(copies);
}

static const struct text_case rest[] = {
    {"CMD a b", "CMD <a b>"},
    {"CMD", "CMD <>"},
    {"CMD []", "CMD []"},
    {"CMD [\"a\"]", "CMD [a]"},
    {"CMD [\"a", "CMD <[\"a>"},
    {"CMD {\"a\": 1}", "CMD <{\"a\": 1}>"},
    {"CMD --x", "unknown flag: --x"},
    {"ENTRYPOINT [\"a\",\"b\"]", "ENTRYPOINT [a|b]"},
    {"ENTRYPOINT exec top -b", "ENTRYPOINT <exec top -b>"},
    {"SHELL [\"/bin/bash\", \"-c\"]", "SHELL [/bin/bash|-c]"},
    {"SHELL bash -c", "SHELL requires the arguments to be in JSON form"},
    {"SHELL []", "SHELL requires at least one argument"},
    {"SHELL", "SHELL requires at least one argument"},
    {"ENV A=1 B=\"x y\" C=$D\\ e", "ENV A=<1> B=<\"x y\"> C=<$D\\ e>"},
    {"ENV A=", "ENV A=<>"},
    {"ENV A=b=c", "ENV A=<b=c>"},
    {"ENV A b  c=d", "ENV A=<b  c=d> legacy"},
    {"ENV", "ENV requires at least one argument"},
    {"ENV A", "ENV must have two arguments"},
    {"ENV =b", "ENV names can not be blank"},
    {"ENV A=1 B", "Syntax error - can't find = in \"B\". Must be of the form: name=value"},
    {"LABEL \"a b\"=c d='e f'", "LABEL \"a b\"=<c> d=<'e f'>"},
    {"LABEL a b", "LABEL a=<b> legacy"},
    {"LABEL a", "LABEL must have two arguments"},
    {"ARG A", "ARG A<>"},
    {"ARG A B=c D=", "ARG A<> B=<c> D=<>"},
    {"ARG", "ARG requires at least one argument"},
    {"ARG =x", "ARG names can not be blank"},
    {"EXPOSE 80 53/udp $P", "EXPOSE [80|53/udp|$P]"},
    {"EXPOSE", "EXPOSE requires at least one argument"},
    {"VOLUME /a /b", "VOLUME [/a|/b]"},
    {"VOLUME [\" /a b\"]", "VOLUME [/a b]"},
    {"VOLUME", "VOLUME requires at least one argument"},
    {"VOLUME []", "VOLUME requires at least one argument"},
    {"VOLUME [\" \"]", "VOLUME specified can not be an empty string"},
    {"USER web:www", "USER <web:www>"},
    {"USER", "USER requires exactly one argument"},
    {"WORKDIR /a b", "WORKDIR </a b>"},
    {"WORKDIR", "WORKDIR requires exactly one argument"},
    {"STOPSIGNAL SIGINT", "STOPSIGNAL <SIGINT>"},
    {"STOPSIGNAL", "STOPSIGNAL requires exactly one argument"},
    {"MAINTAINER Me <me@x>", "MAINTAINER <Me <me@x>>"},
    {"MAINTAINER", "MAINTAINER requires exactly one argument"},
    {"USER --x y", "unknown flag: --x"},
    {"FOO bar", "unknown instruction: FOO (did you mean FROM?)"},
    {"BADCMDS x", "unknown instruction: BADCMDS"},
    {"# only a comment", "file with no instructions"},
    {"USER a\nUSER b", "\"USER a\\nUSER b\" is more than one instruction"},
};

TEST(the_others)
{
    CHECK_CASES(rest);
}

static const struct text_case healths[] = {
    {"HEALTHCHECK NONE", "HEALTHCHECK [NONE] 0 0 0 0 0"},
    {"HEALTHCHECK none", "HEALTHCHECK [NONE] 0 0 0 0 0"},
    {"HEALTHCHECK CMD curl x", "HEALTHCHECK [CMD-SHELL|curl x] 0 0 0 0 0"},
    {"HEALTHCHECK cmd [\"a\",\"b\"]", "HEALTHCHECK [CMD|a|b] 0 0 0 0 0"},
    {"HEALTHCHECK --interval=1s --timeout=2ms --start-period=1m --start-interval=3s --retries=4 "
     "CMD x",
     "HEALTHCHECK [CMD-SHELL|x] 1000000000 2000000 60000000000 3000000000 4"},
    {"HEALTHCHECK --interval=0s CMD x", "HEALTHCHECK [CMD-SHELL|x] 0 0 0 0 0"},
    {"HEALTHCHECK", "HEALTHCHECK requires at least one argument"},
    {"HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"},
    {"HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"},
    {"HEALTHCHECK CMD []", "Missing command after HEALTHCHECK CMD"},
    {"HEALTHCHECK sh x", "Unknown type \"SH\" in HEALTHCHECK (try CMD)"},
    {"HEALTHCHECK --interval=x CMD y", "time: invalid duration \"x\""},
    {"HEALTHCHECK --timeout=1us CMD y", "Interval \"timeout\" cannot be less than 1ms"},
    {"HEALTHCHECK --timeout=-1s CMD y", "Interval \"timeout\" cannot be less than 1ms"},
    {"HEALTHCHECK --retries=-1 CMD y", "--retries cannot be negative (-1)"},
    {"HEALTHCHECK --retries=x CMD y", "strconv.ParseInt: parsing \"x\": invalid syntax"},
    {"HEALTHCHECK --retry=1 CMD y", "unknown flag: --retry"},
};

TEST(healthcheck)
{
    CHECK_CASES(healths);
}

static const struct text_case triggers[] = {
    {"ONBUILD RUN a", "ONBUILD <RUN a> RUN <a>"},
    {"ONBUILD copy --from=x a b", "ONBUILD <copy --from=x a b> COPY from=x [a] b"},
    {"ONBUILD RUN <<E\na\nE", "ONBUILD <RUN <<E\na\nE> RUN <a\n>"},
    {"ONBUILD", "ONBUILD requires at least one argument"},
    {"ONBUILD ONBUILD RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
    {"ONBUILD onbuild", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
    {"ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"},
    {"ONBUILD maintainer a", "MAINTAINER isn't allowed as an ONBUILD trigger"},
    {"ONBUILD COPY a", "COPY requires at least two arguments, but only one was provided. "
                       "Destination could not be determined"},
    {"ONBUILD QQQQQQ", "unknown instruction: QQQQQQ"},
};

TEST(onbuild)
{
    CHECK_CASES(triggers);
}

/* ---- programs ---- */

static char *program(struct arena *a, const char *text, unsigned *ret_line)
{
    auto_buf struct buf out = BUF_INIT;
    struct dockerfile d = {0};
    struct df_program p = {0};
    struct err e = {0};

    CHECK_OK(dockerfile_parse(text, strlen(text), a, &d, &e));
    if (program_decode(&d, a, &p, ret_line, &e) < 0)
        return arena_strdup(a, e.msg);
    buf_printf(&out, "%zu", p.args.n);
    for (size_t i = 0; i < p.stages.n; i++)
        buf_printf(&out, " %s:%zu", p.stages.v[i]->name, p.stages.v[i]->code.n);
    return arena_strdup(a, buf_str(&out));
}

TEST(stages)
{
    auto_arena struct arena a = ARENA_INIT;
    unsigned line = 9;

    CHECK_STR(
        program(&a, "ARG A\nARG B\nFROM x AS One\nRUN a\nARG C\nFROM y\nFROM one\nRUN b", NULL),
        "2 one:2 1:0 2:1");
    CHECK_STR(program(&a, "FROM a", &line), "0 0:0");
    CHECK_INT(line, 0);
    CHECK_STR(program(&a, "ARG A\n\nRUN b\nFROM c", &line),
              "dockerfile parse error on line 3: no build stage in current context");
    CHECK_INT(line, 3);
    CHECK_STR(program(&a, "ARG A", &line), "dockerfile contains no stages to build");
    CHECK_INT(line, 0);
    CHECK_STR(program(&a, "FROM a\nRUN \\\n b\nQQQQQQ c", &line),
              "dockerfile parse error on line 4: unknown instruction: QQQQQQ");
    CHECK_INT(line, 4);
}

TEST(steps_are_shown_as_they_were_written)
{
    auto_arena struct arena a = ARENA_INIT;
    struct ins *ins = NULL;
    struct err e = {0};

    CHECK_OK(ins_decode("run  --network=none   a \\\n  b", &a, &ins, &e));
    CHECK_STR(ins->text, "run --network=none   a   b");
}

static const char *get(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "DIR") == 0 ? "/a,b" : strcmp(name, "MODE") == 0 ? "0700" : NULL;
}

TEST(mounts_with_variables)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf out = BUF_INIT;
    const struct expander x = {.get = get, .escape = '\\'};
    struct ins_mounts m = {0};
    struct ins *ins = NULL;
    struct err e = {0};

    CHECK_OK(ins_decode("RUN --mount=type=tmpfs,target=/t "
                        "--mount=type=cache,target=$DIR/c,mode=${MODE} c",
                        &a, &ins, &e));
    CHECK_INT(ins->run.mounts.n, 1);
    CHECK_OK(run_mounts(&ins->run, &x, &a, &m, &e));
    for (size_t i = 0; i < m.n; i++)
        put_mount(&out, m.v[i]);
    CHECK_STR(buf_str(&out), " {tmpfs target=/t} {cache target=/a,b/c mode=448}");
    CHECK_OK(ins_decode("RUN --mount=type=cache,mode=$DIR c", &a, &ins, &e));
    CHECK_INT(run_mounts(&ins->run, &x, &a, &m, &e), -EINVAL);
    CHECK_STR(e.msg, "invalid value /a,b for mode");
}
