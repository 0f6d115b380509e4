#include "cli/tmpl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tmpl-priv.h"

/* Evaluation: a walk over the nodes with a dot and a stack of variables. */

#define OUTPUT_MAX (256UL * 1024 * 1024)

struct var {
    const char *name;
    struct val val;
};

struct run {
    const struct tmpl *t;
    const struct tmpl_data *data;
    struct arena *a;
    struct buf *out;
    struct err *err;
    VEC_OF(struct var) vars;
};

enum flow { FLOW_GO = 0, FLOW_BREAK = 1, FLOW_CONTINUE = 2 };

static int eval_pipeline(struct run *r, const struct pipeline *pl, const struct val *dot,
                         struct val *ret);

static int line_of(const struct run *r, size_t pos, size_t *col)
{
    int line = 1;

    *col = pos;
    for (size_t i = 0; i < pos; i++) {
        if (r->t->text[i] == '\n') {
            line++;
            *col = pos - i - 1;
        }
    }
    return line;
}

/* ".A.B.C" up to field @n, as Go shows it. */
static const char *chain(struct run *r, const struct operand *op, size_t n)
{
    struct buf b = BUF_INIT;

    if (op->kind == OP_VAR)
        buf_puts(&b, op->text);
    for (size_t i = 0; i <= n && i < op->fields.n; i++)
        buf_printf(&b, ".%s", op->fields.v[i]);
    const char *s = arena_strdup(r->a, buf_str(&b));
    buf_done(&b);
    return s;
}

/* An error at @pos: "template: NAME:LINE:COLUMN: executing "NAME" at <AT>: what". */
static int fail_at(struct run *r, size_t pos, const char *at, const char *what)
{
    size_t col;
    int line = line_of(r, pos, &col);

    return err_invalid(r->err, "template: %s:%d:%zu: executing \"%s\" at <%s>: %s", r->t->name,
                       line, col, r->t->name, at, what);
}

/* Go's word for a value's type. In a bare JSON tree nothing has one. */
static const char *type_of(const struct run *r, const struct val *v)
{
    static const char *const names[] = {
        [V_NIL] = "interface {}", [V_BOOL] = "bool",  [V_INT] = "int",
        [V_FLOAT] = "float64",    [V_STR] = "string", [V_JSON] = "interface {}"};

    if (v->kind == V_JSON && v->j == r->data->root)
        return r->data->type;
    return r->data->type ? names[v->kind] : "interface {}";
}

static int no_field(struct run *r, const struct operand *op, size_t i, const struct val *in)
{
    size_t pos = op->pos + (op->kind == OP_VAR ? strlen(op->text) : 0);
    const char *type = type_of(r, in), *name = op->fields.v[i];
    bool map = in->kind == V_JSON && in->j->kind == JSON_OBJECT && (!type || !r->data->type);

    for (size_t k = 0; k < i; k++)
        pos += 1 + strlen(op->fields.v[k]);
    return fail_at(r, pos, chain(r, op, i),
                   map ? arena_printf(r->a, "map has no entry for key \"%s\"", name)
                       : arena_printf(r->a, "can't evaluate field %s in type %s", name, type));
}

/* A label's name as a column header: the last part, marks as blanks. */
static struct val label_header(struct run *r, const char *name)
{
    const char *dot = strrchr(name, '.');
    char *s = arena_strdup(r->a, dot ? dot + 1 : name);

    for (char *p = s; *p; p++)
        if (*p == '-' || *p == '_')
            *p = ' ';
    return (struct val){V_STR, .s = s};
}

/* {{.Label "key"}}: the one method with an argument that docker's rows have. */
static bool is_label_call(const struct run *r, const struct operand *op, size_t nargs)
{
    return op->kind == OP_DOT && op->fields.n == 1 && nargs == 1 &&
           str_eq(op->fields.v[0], "Label") && (r->data->labels || r->data->header);
}

static struct val label_call(struct run *r, const struct val *arg)
{
    const char *key = val_str(arg, r->a);

    if (r->data->header)
        return label_header(r, key);
    const char *v = strmap_get(r->data->labels, key);
    return (struct val){V_STR, .s = v ? v : ""};
}

static struct val var_get(const struct run *r, const char *name)
{
    for (size_t i = r->vars.n; i-- > 0;)
        if (str_eq(r->vars.v[i].name, name))
            return r->vars.v[i].val;
    return val_of_json(r->data->root); /* "$" */
}

static int eval_fields(struct run *r, const struct operand *op, struct val *v)
{
    for (size_t i = 0; i < op->fields.n; i++) {
        struct val in = *v;
        const char *name = op->fields.v[i];
        bool last = i + 1 == op->fields.n && !r->data->type;
        if (val_field(&in, name, v) < 0 && (!last || val_absent(&in, name, r->a, v) < 0))
            return no_field(r, op, i, &in);
    }
    return 0;
}

static struct val number(const char *s)
{
    int64_t i;

    if (str_to_i64(*s == '+' ? s + 1 : s, &i) == 0)
        return (struct val){V_INT, .i = i};
    return (struct val){V_FLOAT, .f = strtod(s, NULL)};
}

static int call(struct run *r, const struct operand *op, struct val *args, size_t n,
                struct val *ret)
{
    struct func_call c = {.arena = r->a, .data = r->data, .name = op->text, .args = args, .n = n};
    struct err e = {0};
    int x = func_call(&c, ret, &e);

    return x < 0 ? fail_at(r, op->pos, op->text, e.msg) : 0;
}

static int eval_operand(struct run *r, const struct operand *op, const struct val *dot,
                        struct val *ret)
{
    int x;

    switch (op->kind) {
    case OP_DOT:
        *ret = *dot;
        return eval_fields(r, op, ret);
    case OP_VAR:
        *ret = var_get(r, op->text);
        return eval_fields(r, op, ret);
    case OP_PIPE:
        x = eval_pipeline(r, op->pipe, dot, ret);
        return x < 0 ? x : eval_fields(r, op, ret);
    case OP_STR:
        *ret = (struct val){V_STR, .s = op->text};
        return 0;
    case OP_NUM:
        *ret = number(op->text);
        return 0;
    case OP_BOOL:
        *ret = (struct val){V_BOOL, .b = str_eq(op->text, "true")};
        return 0;
    case OP_FUNC:
        return call(r, op, NULL, 0, ret);
    default:
        *ret = (struct val){V_NIL};
        return 0;
    }
}

/* One command; @last: what the command before in the pipeline gave, its final argument. */
static int eval_cmd(struct run *r, const struct cmd *c, const struct val *dot,
                    const struct val *last, struct val *ret)
{
    const struct operand *op = c->v[0];
    size_t n = c->n - 1;
    struct val *args = arena_alloc(r->a, (n + 1) * sizeof(*args));

    for (size_t i = 0; i < n; i++) {
        int x = eval_operand(r, c->v[i + 1], dot, &args[i]);
        if (x < 0)
            return x;
    }
    if (last)
        args[n++] = *last;
    if (op->kind == OP_FUNC)
        return call(r, op, args, n, ret);
    if (is_label_call(r, op, n)) {
        *ret = label_call(r, &args[0]);
        return 0;
    }
    if (n > 0)
        return fail_at(r, op->pos, op->fields.n ? chain(r, op, op->fields.n) : op->text,
                       "can't give argument to non-function");
    return eval_operand(r, op, dot, ret);
}

static void var_push(struct run *r, const char *name, struct val v)
{
    arena_push(r->a, r->vars) = (struct var){name, v};
}

static void bind(struct run *r, const struct pipeline *pl, struct val v)
{
    const char *name = pl->vars.v[0];

    if (!pl->assign) {
        var_push(r, name, v);
        return;
    }
    for (size_t i = r->vars.n; i-- > 0;) {
        if (str_eq(r->vars.v[i].name, name)) {
            r->vars.v[i].val = v;
            return;
        }
    }
}

static int eval_pipeline(struct run *r, const struct pipeline *pl, const struct val *dot,
                         struct val *ret)
{
    struct val v = {V_NIL};

    for (size_t i = 0; i < pl->cmds.n; i++) {
        struct val last = v;
        int x = eval_cmd(r, pl->cmds.v[i], dot, i ? &last : NULL, &v);
        if (x < 0)
            return x;
    }
    if (pl->vars.n == 1)
        bind(r, pl, v);
    *ret = v;
    return 0;
}

static int walk(struct run *r, const struct node *n, const struct val *dot);

static int run_if(struct run *r, const struct node *n, const struct val *dot, bool with)
{
    struct val v;
    size_t scope = r->vars.n;
    int x = eval_pipeline(r, n->pipe, dot, &v);

    if (x < 0)
        return x;
    bool yes = val_true(&v);
    x = walk(r, yes ? n->body : n->otherwise, yes && with ? &v : dot);
    r->vars.n = scope;
    return x;
}

static int run_once(struct run *r, const struct node *n, struct val key, struct val v)
{
    const struct strv *vars = &n->pipe->vars;
    size_t scope = r->vars.n;

    if (vars->n == 2)
        var_push(r, vars->v[0], key);
    if (vars->n > 0)
        var_push(r, vars->v[vars->n - 1], v);
    int x = walk(r, n->body, &v);
    r->vars.n = scope;
    return x == FLOW_CONTINUE ? 0 : x;
}

/* Go ranges over maps in the order of their keys. */
static const struct json *next_key(const struct json *obj, const char *after)
{
    const struct json *best = NULL;

    for (const struct json *c = obj->child; c; c = c->next)
        if ((!after || strcmp(c->key, after) > 0) && (!best || strcmp(c->key, best->key) < 0))
            best = c;
    return best;
}

static int run_range(struct run *r, const struct node *n, const struct val *dot)
{
    struct pipeline plain = *n->pipe;
    struct val v;
    int x;

    plain.vars.n = 0; /* the variables take the elements, not the list */
    if ((x = eval_pipeline(r, &plain, dot, &v)) < 0)
        return x;
    if (!val_true(&v))
        return walk(r, n->otherwise, dot);
    if (v.kind != V_JSON || v.j->kind == JSON_NUMBER)
        return err_invalid(r->err, "template: %s:1: executing \"%s\": range can't iterate over %s",
                           r->t->name, r->t->name, val_str(&v, r->a));
    bool map = v.j->kind == JSON_OBJECT;
    int64_t i = 0;
    for (const struct json *c = map ? next_key(v.j, NULL) : v.j->child; c && x == 0;
         c = map ? next_key(v.j, c->key) : c->next, i++) {
        struct val key = map ? (struct val){V_STR, .s = c->key} : (struct val){V_INT, .i = i};
        x = run_once(r, n, key, val_of_json(c));
    }
    return x == FLOW_BREAK ? 0 : x;
}

static int run_action(struct run *r, const struct node *n, const struct val *dot)
{
    struct val v;
    int x = eval_pipeline(r, n->pipe, dot, &v);

    if (x < 0 || n->pipe->vars.n > 0)
        return x;
    val_print(&v, r->out);
    return 0;
}

/* Return: 0, FLOW_BREAK, FLOW_CONTINUE, -errno. */
static int walk(struct run *r, const struct node *n, const struct val *dot)
{
    int x = 0;

    for (; n && x == 0; n = n->next) {
        if (r->out->len > OUTPUT_MAX)
            return err_invalid(r->err, "the template's output is too large");
        if (n->kind == N_TEXT)
            buf_put(r->out, n->text, n->len);
        else if (n->kind == N_ACTION)
            x = run_action(r, n, dot);
        else if (n->kind == N_RANGE)
            x = run_range(r, n, dot);
        else if (n->kind == N_IF || n->kind == N_WITH)
            x = run_if(r, n, dot, n->kind == N_WITH);
        else
            x = n->kind == N_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
    }
    return x;
}

int tmpl_exec(const struct tmpl *t, const struct tmpl_data *data, struct arena *a, struct buf *out,
              struct err *err)
{
    struct run r = {.t = t, .data = data, .a = a, .out = out, .err = err};
    struct val dot = val_of_json(data->root);
    int x = walk(&r, t->first, &dot);

    return x < 0 ? x : 0;
}
