#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tmpl-priv.h"

/*
 * A recursive-descent parser straight on the text: an action's inside is cut into tokens as it is
 * read. Nesting is bounded, since the recursion follows it.
 */

#define NEST_MAX 64

struct parser {
    const char *name, *text, *p, *end; /* end: of the current action, while inside one */
    struct arena *a;
    struct err *err;
    int depth;
    struct strv vars; /* declared so far, in scope */
    const char *stop; /* the word that ended a list: "end", "else", or NULL at the end */
    bool trim_next;   /* the action before ended with "-}}" */
};

static int line_of(const struct parser *ps, const char *at)
{
    int line = 1;

    for (const char *p = ps->text; p < at; p++)
        line += *p == '\n';
    return line;
}

#define BAD(ps, ...) bad((ps), arena_printf((ps)->a, __VA_ARGS__))

static int bad(struct parser *ps, const char *what)
{
    return err_invalid(ps->err, "template: %s:%d: %s", ps->name, line_of(ps, ps->p), what);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static void skip_blanks(struct parser *ps)
{
    while (ps->p < ps->end && isspace((unsigned char)*ps->p))
        ps->p++;
}

static char *take_word(struct parser *ps)
{
    const char *start = ps->p;

    while (ps->p < ps->end && is_word(*ps->p))
        ps->p++;
    return arena_strndup(ps->a, start, (size_t)(ps->p - start));
}

/* The next word is @w; takes it. */
static bool take_keyword(struct parser *ps, const char *w)
{
    size_t n = strlen(w);

    skip_blanks(ps);
    if ((size_t)(ps->end - ps->p) < n || strncmp(ps->p, w, n) != 0 ||
        (ps->p + n < ps->end && is_word(ps->p[n])))
        return false;
    ps->p += n;
    return true;
}

static bool take_mark(struct parser *ps, const char *m)
{
    size_t n = strlen(m);

    skip_blanks(ps);
    if ((size_t)(ps->end - ps->p) < n || strncmp(ps->p, m, n) != 0)
        return false;
    ps->p += n;
    return true;
}

/* ---- operands ---- */

static int parse_pipeline(struct parser *ps, struct pipeline **ret);

static char unescape(char c)
{
    static const char from[] = "ntr0", to[] = "\n\t\r\0";
    const char *at = c ? strchr(from, c) : NULL;

    return at ? to[at - from] : c;
}

static int parse_string(struct parser *ps, const char **ret)
{
    char quote = *ps->p++;
    char *out = arena_alloc(ps->a, (size_t)(ps->end - ps->p) + 1);
    size_t n = 0;

    for (; ps->p < ps->end && *ps->p != quote; ps->p++) {
        char c = *ps->p;
        if (c == '\\' && quote != '`' && ps->p + 1 < ps->end)
            c = unescape(*++ps->p);
        out[n++] = c;
    }
    if (ps->p >= ps->end)
        return bad(ps,
                   quote == '`' ? "unterminated raw quoted string" : "unterminated quoted string");
    ps->p++;
    *ret = out;
    return 0;
}

static int parse_fields(struct parser *ps, struct operand *op)
{
    while (ps->p + 1 < ps->end && *ps->p == '.' && is_word(ps->p[1])) {
        ps->p++;
        arena_push(ps->a, op->fields) = take_word(ps);
    }
    return 0;
}

static int parse_var(struct parser *ps, struct operand *op)
{
    ps->p++;
    op->kind = OP_VAR;
    op->text = arena_printf(ps->a, "$%s", take_word(ps));
    if (!str_eq(op->text, "$") && !strv_has(&ps->vars, op->text))
        return BAD(ps, "undefined variable \"%s\"", op->text);
    return parse_fields(ps, op);
}

static int parse_paren(struct parser *ps, struct operand *op)
{
    ps->p++;
    op->kind = OP_PIPE;
    if (++ps->depth > NEST_MAX)
        return bad(ps, "expression is nested too deeply");
    int r = parse_pipeline(ps, &op->pipe);
    ps->depth--;
    if (r < 0)
        return r;
    if (!take_mark(ps, ")"))
        return bad(ps, "unclosed left paren");
    return parse_fields(ps, op);
}

static int parse_name(struct parser *ps, struct operand *op)
{
    op->text = take_word(ps);
    if (str_eq(op->text, "true") || str_eq(op->text, "false")) {
        op->kind = OP_BOOL;
    } else if (str_eq(op->text, "nil")) {
        op->kind = OP_NIL;
    } else {
        op->kind = OP_FUNC;
        if (!func_exists(op->text))
            return BAD(ps, "function \"%s\" not defined", op->text);
    }
    return 0;
}

static int parse_number(struct parser *ps, struct operand *op)
{
    const char *start = ps->p;
    char *end = NULL;

    ps->p += *ps->p == '-' || *ps->p == '+';
    while (ps->p < ps->end && (is_word(*ps->p) || *ps->p == '.'))
        ps->p++;
    op->kind = OP_NUM;
    op->text = arena_strndup(ps->a, start, (size_t)(ps->p - start));
    (void)strtod(op->text, &end);
    return *end ? BAD(ps, "bad number syntax: \"%s\"", op->text) : 0;
}

static bool starts_operand(const struct parser *ps)
{
    char c = ps->p < ps->end ? *ps->p : '\0';

    return c && (strchr(".$\"`(-+", c) || is_word(c));
}

static int parse_operand(struct parser *ps, struct operand **ret)
{
    struct operand *op = arena_new(ps->a, struct operand);
    char c = *ps->p;
    int r = 0;

    op->pos = (size_t)(ps->p - ps->text);
    if (c == '.') {
        op->kind = OP_DOT;
        if (ps->p + 1 < ps->end && is_word(ps->p[1]))
            r = parse_fields(ps, op);
        else
            ps->p++;
    } else if (c == '$') {
        r = parse_var(ps, op);
    } else if (c == '"' || c == '`') {
        op->kind = OP_STR;
        r = parse_string(ps, &op->text);
    } else if (c == '(') {
        r = parse_paren(ps, op);
    } else if (isdigit((unsigned char)c) || c == '-' || c == '+') {
        r = parse_number(ps, op);
    } else {
        r = parse_name(ps, op);
    }
    if (r == 0)
        *ret = op;
    return r;
}

/* ---- pipelines ---- */

static int parse_cmd(struct parser *ps, struct cmd **ret)
{
    struct cmd *c = arena_new(ps->a, struct cmd);

    for (skip_blanks(ps); starts_operand(ps); skip_blanks(ps)) {
        struct operand *op = NULL;
        int r = parse_operand(ps, &op);
        if (r < 0)
            return r;
        char next = ps->p < ps->end ? *ps->p : ' ';
        if (!isspace((unsigned char)next) && !strchr("|),", next))
            return BAD(ps,
                       next == '.' ? "unexpected <%c> in operand" : "unexpected \"%c\" in operand",
                       next);
        arena_push(ps->a, *c) = op;
    }
    if (c->n == 0)
        return bad(ps, "missing value for command");
    *ret = c;
    return 0;
}

/* "$x :=", "$x =", "$i, $v :=" in front of a pipeline; takes nothing when there is none. */
static void parse_vars(struct parser *ps, struct pipeline *pl)
{
    const char *start = ps->p;
    struct strv names = {0};

    do {
        skip_blanks(ps);
        if (ps->p >= ps->end || *ps->p != '$')
            break;
        ps->p++;
        arena_push(ps->a, names) = arena_printf(ps->a, "$%s", take_word(ps));
    } while (take_mark(ps, ","));
    bool declare = names.n > 0 && take_mark(ps, ":=");
    if (!declare && (names.n == 0 || !take_mark(ps, "="))) {
        ps->p = start;
        return;
    }
    pl->vars = names;
    pl->assign = !declare;
    for (size_t i = 0; declare && i < names.n; i++)
        strv_push(ps->a, &ps->vars, names.v[i]);
}

static int parse_pipeline(struct parser *ps, struct pipeline **ret)
{
    struct pipeline *pl = arena_new(ps->a, struct pipeline);

    parse_vars(ps, pl);
    do {
        struct cmd *c = NULL;
        int r = parse_cmd(ps, &c);
        if (r < 0)
            return r;
        arena_push(ps->a, pl->cmds) = c;
    } while (take_mark(ps, "|"));
    *ret = pl;
    return 0;
}

static int end_action(struct parser *ps)
{
    skip_blanks(ps);
    if (ps->p < ps->end)
        return BAD(ps, "unexpected %.*s in operand",
                   (int)(ps->end - ps->p > 20 ? 20 : ps->end - ps->p), ps->p);
    ps->p = strstr(ps->end, "}}") + 2;
    return 0;
}

/* ---- nodes ---- */

static int parse_list(struct parser *ps, struct node **ret);

static int parse_block(struct parser *ps, struct node *n);

/* Behind {{else: nothing, or another if or with in the place of the branch. */
static int parse_else(struct parser *ps, struct node *n)
{
    struct node *chained = NULL;
    enum node_kind kind = take_keyword(ps, "if")     ? N_IF
                          : take_keyword(ps, "with") ? N_WITH
                                                     : N_TEXT;

    if (kind != N_TEXT) {
        chained = arena_new(ps->a, struct node);
        chained->kind = kind;
        n->otherwise = chained;
        return parse_block(ps, chained); /* its {{end}} is ours as well */
    }
    int r = end_action(ps);
    if (r < 0 || (r = parse_list(ps, &n->otherwise)) < 0)
        return r;
    if (!str_eq(ps->stop, "end"))
        return bad(ps, ps->stop ? "unexpected {{else}}" : "unexpected EOF");
    return end_action(ps);
}

/* From behind the keyword to the matching {{end}}. */
static int parse_block(struct parser *ps, struct node *n)
{
    size_t scope = ps->vars.n;

    if (++ps->depth > NEST_MAX)
        return bad(ps, "template is nested too deeply");
    int r = parse_pipeline(ps, &n->pipe);
    if (r < 0 || (r = end_action(ps)) < 0 || (r = parse_list(ps, &n->body)) < 0)
        return r;
    if (!ps->stop)
        return bad(ps, "unexpected EOF");
    r = str_eq(ps->stop, "else") ? parse_else(ps, n) : end_action(ps);
    ps->depth--;
    ps->vars.n = scope;
    return r;
}

/* One action; sets ps->stop when it is {{end}} or {{else}}. */
static int parse_action(struct parser *ps, struct node **ret)
{
    static const struct {
        const char *word;
        enum node_kind kind;
    } blocks[] = {{"if", N_IF}, {"range", N_RANGE}, {"with", N_WITH}};
    static const char *const unsupported[] = {"define", "template", "block"};
    struct node *n = arena_new(ps->a, struct node);

    ps->stop = take_keyword(ps, "end") ? "end" : take_keyword(ps, "else") ? "else" : NULL;
    if (ps->stop)
        return 0;
    for (size_t i = 0; i < 3; i++) {
        if (take_keyword(ps, unsupported[i]))
            return BAD(ps, "{{%s}} is not supported", unsupported[i]);
        if (take_keyword(ps, blocks[i].word)) {
            n->kind = blocks[i].kind;
            *ret = n;
            return parse_block(ps, n);
        }
    }
    bool brk = take_keyword(ps, "break");
    if (brk || take_keyword(ps, "continue")) {
        n->kind = brk ? N_BREAK : N_CONTINUE;
        *ret = n;
        return end_action(ps);
    }
    n->kind = N_ACTION;
    *ret = n;
    int r = parse_pipeline(ps, &n->pipe);
    return r < 0 ? r : end_action(ps);
}

static struct node *text_node(struct parser *ps, const char *from, const char *to)
{
    struct node *n = arena_new(ps->a, struct node);

    n->kind = N_TEXT;
    n->text = from;
    n->len = (size_t)(to - from);
    return n;
}

/* The end of an action that begins at @p: its "}}", which strings may hold as well. */
static const char *action_end(const char *p)
{
    char quote = '\0';

    for (; *p; p++) {
        if (quote) {
            if (*p == '\\' && quote != '`' && p[1])
                p++;
            else if (*p == quote)
                quote = '\0';
        } else if (*p == '"' || *p == '`') {
            quote = *p;
        } else if (p[0] == '}' && p[1] == '}') {
            return p;
        }
    }
    return NULL;
}

/* Step into the action at "{{": trim marks and comments. Return: 1 when it was a comment. */
static int open_action(struct parser *ps)
{
    const char *p = ps->p + 2;
    bool comment;

    p += p[0] == '-' && isspace((unsigned char)p[1]);
    while (isspace((unsigned char)*p))
        p++;
    comment = p[0] == '/' && p[1] == '*';
    const char *end = comment ? strstr(p, "*/") : action_end(p);
    if (comment && end)
        end = strstr(end, "}}");
    if (!end)
        return bad(ps, comment ? "unclosed comment" : "unclosed action");
    ps->trim_next = end - 1 > p && end[-1] == '-' && isspace((unsigned char)end[-2]);
    if (comment) {
        ps->trim_next = end[-1] == '-';
        ps->p = end + 2;
        return 1;
    }
    ps->p = p;
    ps->end = ps->trim_next ? end - 1 : end;
    return 0;
}

/* Text up to the next action; the trim marks on both sides eat blanks. */
static struct node *parse_text(struct parser *ps)
{
    const char *from = ps->p, *to = strstr(from, "{{");

    to = to ? to : from + strlen(from);
    ps->p = to;
    while (ps->trim_next && from < to && isspace((unsigned char)*from))
        from++;
    ps->trim_next = false;
    if (to[0] && to[2] == '-' && isspace((unsigned char)to[3]))
        while (to > from && isspace((unsigned char)to[-1]))
            to--;
    return to > from ? text_node(ps, from, to) : NULL;
}

static int parse_list(struct parser *ps, struct node **ret)
{
    struct node **tail = ret;

    for (ps->stop = NULL; *ps->p;) {
        struct node *n = parse_text(ps);
        if (n) {
            *tail = n;
            tail = &n->next;
        }
        if (!*ps->p)
            break;
        int r = open_action(ps);
        if (r > 0)
            continue;
        n = NULL;
        if (r < 0 || (r = parse_action(ps, &n)) < 0)
            return r;
        if (!n)
            return 0;
        ps->stop = NULL;
        *tail = n;
        tail = &n->next;
    }
    return 0;
}

int tmpl_parse_as(const char *name, const char *text, struct arena *a, struct tmpl **ret,
                  struct err *err)
{
    struct parser ps = {.a = a, .err = err, .name = name};
    struct tmpl *t = arena_new(a, struct tmpl);

    t->name = arena_strdup(a, name);
    t->text = ps.text = ps.p = arena_strdup(a, text);
    int r = parse_list(&ps, &t->first);
    if (r < 0)
        return r;
    if (ps.stop)
        return BAD(&ps, "unexpected {{%s}}", ps.stop);
    *ret = t;
    return 0;
}

int tmpl_parse(const char *text, struct arena *a, struct tmpl **ret, struct err *err)
{
    return tmpl_parse_as("", text, a, ret, err);
}
