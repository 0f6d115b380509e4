#include "base/test.h"

#include <errno.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/table.h"
#include "cli/tmpl.h"

static const char data[] =
    "{\"Id\":\"sha256:abc\",\"Name\":\"/"
    "web\",\"State\":{\"Running\":true,\"Pid\":0,\"ExitCode\":3},"
    "\"Args\":[\"a\",\"b c\",\"<d>\"],\"Labels\":{\"x.y\":\"1\",\"a\":\"2\"},\"None\":null,"
    "\"Ports\":{\"80/tcp\":[{\"HostPort\":\"8080\"}],\"443/tcp\":null},\"NanoCpus\":1500000000,"
    "\"Empty\":[],\"Env\":null,\"Volumes\":null,\"Dns\":null,\"Slash\":[\"\\\\u003c\"],"
    "\"Policy\":{\"Name\":\"no\",\"MaximumRetryCount\":0}}";

static int exec(const char *text, bool header, struct buf *out, struct err *e)
{
    static struct arena a;
    struct json *root = NULL;
    struct tmpl *t = NULL;
    char label[] = "com.x.role", role[] = "db";
    struct strpair pair = {label, role};
    struct strmap labels = {&pair, 1};
    struct tmpl_data d = {.labels = &labels, .header = header};

    if (json_parse(data, strlen(data), &a, &root, e) < 0)
        TEST_FAIL("%s", e->msg);
    d.root = root;
    int r = tmpl_parse(text, &a, &t, e);
    return r < 0 ? r : tmpl_exec(t, &d, &a, out, e);
}

static void check(const char *text, const char *want)
{
    struct buf out = BUF_INIT;
    struct err e = {0};

    if (exec(text, false, &out, &e) < 0)
        TEST_FAIL("%s: %s", text, e.msg);
    if (strcmp(buf_str(&out), want) != 0)
        TEST_FAIL("%s: got \"%s\", want \"%s\"", text, buf_str(&out), want);
    buf_done(&out);
}

static void check_bad(const char *text, const char *want)
{
    struct buf out = BUF_INIT;
    struct err e = {0};

    CHECK(exec(text, false, &out, &e) < 0);
    if (strcmp(e.msg, want) != 0)
        TEST_FAIL("%s: got \"%s\", want \"%s\"", text, e.msg, want);
    buf_done(&out);
}

TEST(fields)
{
    check("plain", "plain");
    check("{{.Id}} {{.ID}}", "sha256:abc sha256:abc");
    check("{{.State.Running}},{{.State.ExitCode}}", "true,3");
    check("{{.NanoCPUs}}", "1500000000");
    check("{{.Args}} {{.Labels}}", "[a b c <d>] map[a:2 x.y:1]");
    check("{{.None}} {{.Env}} {{.Volumes}} {{index .Args 0}}", "<nil> [] map[] a");
    check("{{$.Name}}{{ $x := .Name }}{{$x}}", "/web/web");
    check("{{(index .Args 1)}}", "b c");
    check("{{.Label \"com.x.role\"}}|{{.Label \"no\"}}", "db|");
}

TEST(functions)
{
    check("{{json .State}}", "{\"Running\":true,\"Pid\":0,\"ExitCode\":3}");
    check("{{json .Args}}", "[\"a\",\"b c\",\"<d>\"]");
    check("{{json .None}} {{json .Name}}", "null \"/web\"");
    check("{{join .Args \",\"}}", "a,b c,<d>");
    check("{{upper .Name}} {{lower \"ABC\"}} {{title \"abc\"}}", "/WEB abc Abc");
    check("{{pad .Name 1 2}}|{{truncate .Name 2}}", " /web  |/w");
    check("{{range split \"a:b:c\" \":\"}}<{{.}}>{{end}}", "<a><b><c>");
    check("{{index .Labels \"x.y\"}}{{index .Labels \"none\"}}", "1");
    check("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080");
    check("{{len .Args}} {{len .Name}} {{len .Labels}}", "3 4 2");
    check("{{printf \"%s-%05d-%.1f-%q-%v%%\" .Name 42 1.25 \"q\" true}}",
          "/web-00042-1.2-\"q\"-true%");
    check("{{.Name | printf \"%-6s|\"}}", "/web  |");
    check("{{println .Name 1}}", "/web 1\n");
    check("{{slice .Id 7 10}}", "abc");
}

TEST(logic)
{
    check("{{if .State.Running}}yes{{else}}no{{end}}", "yes");
    check("{{if .State.Pid}}a{{else if eq .State.ExitCode 3}}b{{else}}c{{end}}", "b");
    check("{{if and .State.Running (not .State.Pid)}}x{{end}}", "x");
    check("{{if or .State.Pid .Empty}}x{{else}}y{{end}}", "y");
    check("{{eq .Name \"/web\" \"/db\"}} {{ne 1 2}} {{lt 1 2}} {{ge 2 2}}", "true true true true");
    check("{{with .State}}{{.ExitCode}}{{end}}{{with .None}}x{{else}}none{{end}}", "3none");
}

TEST(what_go_structs_look_like)
{
    check("{{.Policy}}", "{no 0}");
    check("{{.Dns}} {{.DNS}} {{.Env}} {{.None}}", "<no value> [] [] <nil>");
    check("{{.State.Health}} {{.Mounts}} {{.State.StopSignal}}|", "<nil> [] |");
    check("{{if .State.Health}}x{{end}}", "");
    check("{{json .Slash}}", "[\"\\\\u003c\"]");
}

TEST(ranges)
{
    check("{{range $i, $a := .Args}}{{$i}}={{$a}};{{end}}", "0=a;1=b c;2=<d>;");
    check("{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}", "a=2 x.y=1 ");
    check("{{range .Empty}}x{{else}}empty{{end}}", "empty");
    check("{{range .Args}}{{if eq . \"b c\"}}{{break}}{{end}}{{.}}{{end}}", "a");
    check("{{range .Args}}{{if eq . \"a\"}}{{continue}}{{end}}{{.}}{{end}}", "b c<d>");
    check("{{range $p, $conf := .Ports}}{{$p}} -> {{range $conf}}{{.HostPort}}{{end}}\n{{end}}",
          "443/tcp -> \n80/tcp -> 8080\n");
}

TEST(trimming_and_comments)
{
    check("a {{- \"b\" -}} c", "abc");
    check("a{{/* note */}}b {{- /* x */ -}} c", "abc");
    check("{{\"}}\"}}", "}}");
    check("{{`raw\\n`}}", "raw\\n");
    check("{{ -1 }}", "-1");
}

TEST(what_is_wrong_is_said)
{
    check_bad("{{.Id", "template: :1: unclosed action");
    check_bad("{{nope .Id}}", "template: :1: function \"nope\" not defined");
    check_bad("{{if .Id}}x", "template: :1: unexpected EOF");
    check_bad("{{end}}", "template: :1: unexpected {{end}}");
    check_bad("{{$x}}", "template: :1: undefined variable \"$x\"");
    check_bad("{{\"abc}}", "template: :1: unclosed action");
    check_bad("{{json.Id}}", "template: :1: unexpected <.> in operand");
    check_bad("{{.Id(1)}}", "template: :1: unexpected \"(\" in operand");
    check_bad("{{template \"x\"}}", "template: :1: {{template}} is not supported");
    check_bad("{{.Nope}}",
              "template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\"");
    check_bad("{{.State.Nope}}",
              "template: :1:8: executing \"\" at <.State.Nope>: map has no entry for key \"Nope\"");
    check_bad(
        "{{.Name.X}}",
        "template: :1:7: executing \"\" at <.Name.X>: can't evaluate field X in type interface {}");
    check_bad("{{index .Args 9}}", "template: :1:2: executing \"\" at <index>: error calling "
                                   "index: reflect: slice index out of range");
}

TEST(nesting_is_bounded)
{
    struct buf b = BUF_INIT, out = BUF_INIT;
    struct err e = {0};

    buf_puts(&b, "{{");
    for (int i = 0; i < 100000; i++)
        buf_putc(&b, '(');
    buf_puts(&b, "}}");
    CHECK_INT(exec(b.data, false, &out, &e), -EINVAL);
    buf_clear(&b);
    for (int i = 0; i < 10000; i++)
        buf_puts(&b, "{{if 1}}");
    CHECK_INT(exec(b.data, false, &out, &e), -EINVAL);
    buf_done(&b);
    buf_done(&out);
}

TEST(headers_keep_their_text)
{
    struct buf out = BUF_INIT;
    struct err e = {0};

    CHECK_OK(exec("{{upper \"Name\"}} {{.Label \"com.x.my-role\"}}", true, &out, &e));
    CHECK_STR(out.data, "Name my role");
    buf_done(&out);
}

static void check_table(const char *text, const char *want)
{
    struct buf out = BUF_INIT;

    table_align(text, 10, 3, &out);
    CHECK_STR(buf_str(&out), want);
    buf_done(&out);
}

TEST(tables_align)
{
    check_table("", "");
    check_table("A\tB\n", "A         B\n");
    check_table("NAME\tLONG COLUMN\tX\na\tb\tc\n", "NAME      LONG COLUMN   X\n"
                                                   "a         b             c\n");
    check_table("abcdefghijk\tx\n\ty\n", "abcdefghijk   x\n              y\n");
    check_table("a\tb\nalone\nlong-long-long\tc\n", "a         b\nalone\nlong-long-long   c\n");
    check_table("\xc3\xa4\xc3\xa4\tb\n", "\xc3\xa4\xc3\xa4        b\n");
}
